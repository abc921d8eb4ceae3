"""How a graph is run: provider, its options, graph optimisation, threads and batch size, as a version keeps them."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Protocol

from models.errors import InputError, PerennialError
from models.problems import near_match

if TYPE_CHECKING:
    from onnxruntime import InferenceSession, SessionOptions

CPU = "CPUExecutionProvider"
SUFFIX = "ExecutionProvider"
LEVELS = {
    "none": "ORT_DISABLE_ALL",
    "basic": "ORT_ENABLE_BASIC",
    "extended": "ORT_ENABLE_EXTENDED",
    "all": "ORT_ENABLE_ALL",
}
"""Graph optimisation levels of ONNX Runtime, by the words that people use."""
EXECUTION = "execution"
"""Tag of a version that holds its settings as JSON."""
LOADS = frozenset({"path", "paths", "lib", "libs", "library", "dir", "directory", "file", "config", "plugin"})
"""Words in the names of options that name libraries, files or folders, such as `backend_path` of QNN."""
NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"


class ProviderError(PerennialError):
    """An execution provider that was asked for is not there, or can't be started."""

    exit_code = InputError.exit_code


class Tagged(Protocol):
    """A version, as far as its settings are asked for."""

    @property
    def tags(self) -> Mapping[str, str]:
        """By name."""

    @property
    def uri(self) -> str:
        """That names it."""


@dataclass(frozen=True)
class Execution:
    """Settings of ONNX Runtime and of how rows are handed to it; the defaults are what an unmeasured version has."""

    provider: str = CPU
    options: Mapping[str, str] = field(default_factory=dict)
    """Of the provider, by their names."""
    optimization: str = "all"
    """One of `LEVELS`."""
    intra_threads: int = 1
    """Threads that share one batch: with more than one they wait for each other after every layer."""
    threads: int | None = None
    """Batches that are scored at once; one for each core where it is None."""
    batch_rows: int | None = None
    """Rows of a batch; where it is None, as many as the processor's cache likes."""

    @property
    def computes_otherwise(self) -> bool:
        """Whether answers may be others than by default; numbers of threads and sizes of batches change none."""
        usual = Execution()
        return (self.provider, self.options, self.optimization) != (usual.provider, usual.options, usual.optimization)

    def to_json(self) -> str:
        """On one line, in an order that is always the same."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Execution":
        """What `to_json` wrote. Raises ValueError for anything else."""
        return cls.of(json.loads(text))

    @classmethod
    def of(cls, raw: Any) -> "Execution":
        """The settings whose fields `dataclasses.asdict` gave. Raises ValueError for anything else."""
        if not isinstance(raw, dict) or set(raw) - {each.name for each in fields(cls)}:
            raise ValueError("not the settings of an execution")
        found = cls(**raw)
        wrong = [
            not isinstance(found.provider, str),
            not isinstance(found.options, dict),
            found.optimization not in LEVELS,
            not _is_count(found.intra_threads),
            *(given is not None and not _is_count(given) for given in (found.threads, found.batch_rows)),
        ]
        if any(wrong):
            raise ValueError("settings of an execution that are none")
        return found


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def execution_of(version: Tagged) -> Execution:
    """The settings that a measurement has chosen for the version; the defaults where there was none.

    Raises InputError where the tag is damaged, or has an option that names something to load: nothing seals a tag, so
    such options are for `perennial measure` on the machine itself.
    """
    stored = version.tags.get(EXECUTION)
    if stored is None:
        return Execution()
    try:
        found = Execution.from_json(stored)
    except (ValueError, TypeError):
        raise InputError(f"{version.uri}: its tag {EXECUTION!r} is damaged; measure it again") from None
    for key in loading(found):
        raise InputError(
            f"{version.uri}: its tag {EXECUTION!r} has option {key!r}, which names a library or path; take the "
            "settings off with `perennial measure --forget`"
        )
    return found


def not_here(model: str, number: str, error: ProviderError) -> InputError:
    """The error of a version that was set to run on a provider which this machine lacks, with what to do."""
    told = f"`perennial measure {model}/{number}` here chooses anew, with --forget it is the CPU"
    return InputError(f"{model}: version {number} was set to run on {error}; {told}")


def loading(execution: Execution) -> list[str]:
    """Options that name libraries, files or folders."""
    words = {key: re.findall(r"[A-Z]?[a-z]+|[A-Z]+", key) for key in execution.options}
    return [key for key, parts in words.items() if LOADS & {part.casefold() for part in parts}]


def available_providers() -> list[str]:
    """The execution providers that this build of ONNX Runtime knows, whether or not their hardware is there."""
    import_quietly()
    import onnxruntime

    return list(onnxruntime.get_available_providers())


def provider_named(name: str) -> str:
    """The provider that a short or full name in any case means, such as cuda. Raises ProviderError where it is absent.

    Absent is what this build of ONNX Runtime does not have: it would run everything on the CPU without a word.
    """
    known = available_providers()
    wanted = name.casefold().removesuffix(SUFFIX.casefold())
    found = next((each for each in known if each.removesuffix(SUFFIX).casefold() == wanted), None)
    if found is None:
        raise ProviderError(absent(name, known))
    return found


def absent(name: str, known: list[str]) -> str:
    """A line about a provider that is not there."""
    short = [each.removesuffix(SUFFIX) for each in known]
    hint = near_match(name.removesuffix(SUFFIX), short)
    return f"{name}: this build of onnxruntime has no such execution provider{hint}"


def import_quietly() -> None:
    """Nothing is reported to anybody by a library that is loaded afterwards."""
    # Read when the library is loaded, which is here at the earliest, also where MLflow loads a version by itself.
    os.environ.setdefault(NO_TELEMETRY, "1")


def start_session(graph: bytes, execution: Execution, profile: str | None = None) -> "InferenceSession":
    """A session on the provider that was asked for, which has what it does not take run on the CPU.

    `profile` begins the name of the file that tells which node ran where. Raises ProviderError where the provider is
    not there or can't be started: ONNX Runtime alone would fall back to the CPU without a word.
    """
    import_quietly()
    import onnxruntime

    options = session_options(execution, profile)
    if execution.provider not in onnxruntime.get_available_providers():
        raise ProviderError(absent(execution.provider, onnxruntime.get_available_providers()))
    given = [(execution.provider, dict(execution.options))]
    rest: list[tuple[str, dict[str, str]]] = [] if execution.provider == CPU else [(CPU, {})]
    try:
        session = onnxruntime.InferenceSession(graph, options, providers=[*given, *rest])
    except (RuntimeError, ValueError) as error:
        if execution.provider == CPU and not execution.options:
            raise
        raise ProviderError(f"{execution.provider}: can't be started: {first_line(error)}") from None
    if session.get_providers()[0] != execution.provider:
        found = ", ".join(session.get_providers())
        raise ProviderError(f"{execution.provider}: can't be started here; onnxruntime would have run on {found}")
    return session


def session_options(execution: Execution, profile: str | None = None) -> "SessionOptions":
    """The settings as ONNX Runtime takes them."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = execution.intra_threads
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, LEVELS[execution.optimization])
    options.log_severity_level = 3
    if profile:
        options.enable_profiling, options.profile_file_prefix = True, profile
    return options


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    said = [line for line in str(error).strip().splitlines() if line.strip()]
    return said[0][:300] if said else type(error).__name__
