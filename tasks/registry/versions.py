"""Versions of a model: registered with what they were made from, found again by name, alias or number."""

import difflib
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import mlflow
from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from models.contract import CONTRACT_FILE, GRAPH_FILE, Contract, read_contract
from models.errors import AbsentError, InputError, OutsideError
from models.modelfile import ModelFile
from tasks.registry.connection import connect, plain_errors
from tasks.registry.package import SEALED, check_seals, describe_package, seals, write_package
from tasks.scoring.predictor import check_graph

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"
SHA256 = "artifact.sha256"
SNAPSHOT = "data.digest"
MODEL_FILE_DIGEST = "model_file.digest"
CODE_DIGEST = "code.digest"
COMMIT = "git.commit"
PARITY = "parity"
PARENT = "parent"
"""Number of the version that a quantised or otherwise optimised one was made from."""


@dataclass(frozen=True)
class Version:
    """A registered version, pinned: an alias that moves later does not change it."""

    model: str
    number: str
    run_id: str
    source: str
    tags: Mapping[str, str]
    aliases: tuple[str, ...]
    made: float = 0.0
    """Seconds since 1970."""

    @property
    def uri(self) -> str:
        """The version's own URI."""
        return f"models:/{self.model}/{self.number}"

    @property
    def model_id(self) -> str | None:
        """MLflow's id of the logged model behind the version."""
        return self.source.removeprefix("models:/") if self.source.startswith("models:/m-") else None

    @property
    def sha256(self) -> str | None:
        """SHA-256 of the graph on record; None for a version that perennial did not register."""
        return self.tags.get(SHA256)


def register(exported: Path, model_file: ModelFile, run_id: str, tags: Mapping[str, str], description: str) -> Version:
    """The exported folder as a new version and challenger. The uploaded graph is read back and its hash compared.

    A run that registered this graph before, and was killed then, gets the same version again.
    """
    client, contract = connect(), read_contract(exported)
    with plain_errors(f"registering {contract.name!r}"):
        number = _registered_before(contract, run_id) or _create(
            client, exported, model_file, run_id, tags, description
        )
        client.set_registered_model_alias(contract.name, CHALLENGER, number)
    return find_version(contract.name, number)


def _registered_before(contract: Contract, run_id: str) -> str | None:
    same = (v for v in list_versions(contract.name) if v.run_id == run_id and v.sha256 == contract.graph_sha256)
    found = next(same, None)
    return found.number if found else None


def _create(
    client: MlflowClient, exported: Path, model_file: ModelFile, run_id: str, tags: Mapping[str, str], description: str
) -> str:
    contract = read_contract(exported)
    experiment = client.get_run(run_id).info.experiment_id
    logged = client.create_logged_model(experiment, contract.name, source_run_id=run_id, model_type="onnx")
    with tempfile.TemporaryDirectory() as scratch:
        write_package(exported, model_file, Path(scratch))
        describe_package(Path(scratch), contract, run_id, logged.model_id)
        sealed = seals(Path(scratch))
        client.log_model_artifacts(logged.model_id, scratch)
    client.finalize_logged_model(logged.model_id, "READY")
    _check_upload(f"{logged.artifact_location}/{GRAPH_FILE}", contract.graph_sha256)
    _create_model(client, contract)
    created = client.create_model_version(
        contract.name,
        f"models:/{logged.model_id}",
        run_id,
        tags={**tags, **sealed, SHA256: contract.graph_sha256},
        description=description,
        model_id=logged.model_id,
    )
    return str(created.version)


def _check_upload(uri: str, sha256: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        path = mlflow.artifacts.download_artifacts(uri, dst_path=scratch)
        try:
            check_graph(Path(path), Path(path).read_bytes(), sha256)
        except InputError as error:
            raise OutsideError(f"the artefact store returned other bytes than were uploaded: {error}") from error


def _create_model(client: MlflowClient, contract: Contract) -> None:
    task = {"binary": "one of two classes", "multiclass": "a class", "regression": "a value"}[contract.task]
    about = f"Predicts {task}, {contract.target!r}. What happened to its versions: `perennial history {contract.name}`."
    try:
        client.create_registered_model(contract.name, description=about)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def find_version(model: str, number: str) -> Version:
    """The version with that number."""
    with plain_errors(f"looking up {model!r}"):
        return _pinned(connect().get_model_version(model, number))


def find_alias(model: str, alias: str) -> Version | None:
    """The version that has the alias now, or None."""
    number = number_of(model, alias)
    # The look-up by alias leaves the version's other aliases out.
    return None if number is None else find_version(model, number)


def number_of(model: str, alias: str) -> str | None:
    """The number of the version that has the alias now, or None."""
    found = holder_of(model, alias)
    return None if found is None else found.number


def holder_of(model: str, alias: str) -> Version | None:
    """The version that has the alias now, or None, by one look-up, which leaves its other aliases out."""
    with plain_errors(f"looking up {model!r}"):
        try:
            return _pinned(connect().get_model_version_by_alias(model, alias))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise


@dataclass(frozen=True)
class Reference:
    """What a name or `models:/` URI asks for: a version's number, else the holder of an alias."""

    model: str
    alias: str = CHAMPION
    number: str | None = None


def parse_name(name_or_uri: str) -> Reference:
    """What NAME, NAME@ALIAS, NAME/NUMBER, NAME/latest or models:/MODEL_ID, each with or without models:/, refers to.

    Raises InputError for anything else.
    """
    parts = re.fullmatch(r"(?:models:/)?(?P<name>[^@/]+)(?:@(?P<alias>[^@/]+)|/(?P<number>\d+|latest))?", name_or_uri)
    if not parts:
        raise InputError(f"{name_or_uri}: not a model; give NAME, NAME@ALIAS, NAME/VERSION or a models:/ URI")
    name, number = parts["name"], parts["number"]
    if name_or_uri.startswith("models:/m-") and not parts["alias"] and not number:
        return _of_logged_model(name)
    if number == "latest":
        number = next((version.number for version in list_versions(name)), None)
    return Reference(name, parts["alias"] or CHAMPION, number)


def _of_logged_model(model_id: str) -> Reference:
    """The version that was registered from a logged model, which MLflow's pages name by its id."""
    with plain_errors(f"looking up {model_id!r}"):
        found = connect().search_model_versions(f"source_path = 'models:/{_quoted(model_id)}'", max_results=1)
    if not found:
        raise InputError(f"models:/{model_id}: no registered version was made from this model")
    return Reference(found[0].name, number=str(found[0].version))


def resolve(name_or_uri: str) -> Version:
    """The version that a name or URI means now, see `parse_name`; a bare name means its champion.

    Raises InputError when there is no such model, alias or version.
    """
    wanted = parse_name(name_or_uri)
    require_model(wanted.model)
    if wanted.number:
        found = next((v for v in list_versions(wanted.model) if v.number == wanted.number), None)
        missing = f"has no version {wanted.number}; `perennial history {wanted.model}` lists them"
    else:
        found = find_alias(wanted.model, wanted.alias)
        missing = _no_holder(wanted)
    if found is None:
        kind = InputError if wanted.number else AbsentError
        raise kind(f"{wanted.model}: {missing}")
    return found


def _no_holder(wanted: Reference) -> str:
    """Why nobody has the alias that was asked for."""
    if wanted.alias == CHAMPION:
        return f"has no champion yet; `perennial promote {wanted.model}` judges the newest version"
    if wanted.alias == CHALLENGER:
        return "has no challenger: the newest version was promoted"
    known = sorted({alias for version in list_versions(wanted.model) for alias in version.aliases})
    return f"has no alias {wanted.alias!r}; there {'is' if len(known) == 1 else 'are'} {', '.join(known) or 'none'}"


def require_model(name: str) -> None:
    """Raises InputError when no model of that name is registered."""
    with plain_errors(f"looking up {name!r}"):
        try:
            connect().get_registered_model(name)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
            names = [m.name for m in connect().search_registered_models(max_results=1000)]
            raise AbsentError(f"{name}: no such model; {_hint(name, names)}") from None


def _hint(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    if near:
        return f"did you mean {near[0]!r}?"
    shown = ", ".join(map(repr, known[:10]))
    return f"there are {shown}{' and others' if len(known) > 10 else ''}" if known else "none was trained yet"


def list_versions(model: str) -> list[Version]:
    """All versions of a model, newest first; none for a model that does not exist."""
    with plain_errors(f"listing versions of {model!r}"):
        client = connect()
        found = client.search_model_versions(f"name = '{_quoted(model)}'", max_results=10_000)
        # A search leaves the aliases out; the registered model has them.
        held = client.get_registered_model(model).aliases if found else {}
        aliases = {str(v.version): tuple(a for a, n in held.items() if str(n) == str(v.version)) for v in found}
        pinned = [replace(_pinned(v), aliases=aliases[str(v.version)]) for v in found]
        return sorted(pinned, key=lambda v: -int(v.number))


def _quoted(name: str) -> str:
    return name.replace("'", "''")


def download(version: Version, folder: Path, name: str = "") -> Path:
    """The version's files, or the one of that name, under `folder`."""
    uri = f"{version.uri}/{name}" if name else version.uri
    with plain_errors(f"downloading {uri}"):
        return Path(mlflow.artifacts.download_artifacts(uri, dst_path=str(folder)))


def contract_of(version: Version) -> Contract:
    """The contract, as a rule without loading the graph. Raises InputError where it is damaged or missing."""
    try:
        with downloaded(version, CONTRACT_FILE) as path:
            return read_contract(path.parent)
    except OutsideError:
        # Stores don't tell a file that is missing from one that can't be reached.
        with downloaded(version) as folder:
            return read_contract(folder)


@contextmanager
def downloaded(version: Version, name: str = "") -> Iterator[Path]:
    """The version's files in a folder, or the one of that name, for as long as the block runs.

    What is wrong with them is said of the version. Raises InputError where they are not those that were registered.
    """
    with tempfile.TemporaryDirectory() as scratch:
        path = download(version, Path(scratch), name)
        folder = path.parent if name else path
        try:
            check_seals([path] if name else [folder / sealed for sealed in SEALED], version.tags)
            yield path
        except InputError as error:
            where = f"{version.uri} ({_location(version)})"
            raise InputError(*(problem.replace(str(folder), where) for problem in error.problems)) from None


def _location(version: Version) -> str:
    """Where the artefact store keeps the version's files."""
    with plain_errors(f"looking up {version.uri}"):
        return str(connect().get_model_version_download_uri(version.model, version.number))


def tag_version(version: Version, tags: Mapping[str, str]) -> None:
    """Tags on the version."""
    with plain_errors(f"tagging {version.uri}"):
        for key, value in tags.items():
            connect().set_model_version_tag(version.model, version.number, key, value)


def untag_version(version: Version, key: str) -> None:
    """Takes the tag off the version."""
    with plain_errors(f"tagging {version.uri}"):
        connect().delete_model_version_tag(version.model, version.number, key)


def _pinned(found: ModelVersion) -> Version:
    return Version(
        model=found.name,
        number=str(found.version),
        run_id=found.run_id or "",
        source=found.source or "",
        tags=dict(found.tags),
        aliases=tuple(found.aliases),
        made=(found.creation_timestamp or 0) / 1000,
    )
