"""Settings are kept as JSON, and a provider that is not there is an error rather than a silent fall back."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pyarrow as pa
import pytest

from models.columns.cells import as_array
from models.errors import InputError
from tasks.data.batches import RawBatch
from tasks.data.checks import check_batch
from tasks.registry.versions import Version
from tasks.scoring import score
from tasks.scoring.execution import (
    CPU,
    EXECUTION,
    Execution,
    ProviderError,
    execution_of,
    provider_named,
    session_options,
    start_session,
)
from tasks.scoring.inputs import look_at
from tasks.scoring.ledger import Pinned, pinned_of
from tasks.scoring.outputs import claimed, manifest_of, wanted_output
from tasks.scoring.predictor import BATCH, Predictor
from tasks.scoring.request import Options, Request
from tasks.scoring.score import score_into
from tasks.scoring.steps import pinned_executions
from tests.conftest import Small
from tests.small import table
from tests.tasks.scoring.scored_files import STAMP, new_rows

CUDA = "CUDAExecutionProvider"
FIELDS = set(Pinned.__annotations__)
MUCH = Execution(CUDA, {"device_id": "1"}, "basic", 2, 3, 64)
absent = pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="CUDA is in this build")


@dataclass(frozen=True)
class Tagged:
    tags: Mapping[str, str] = field(default_factory=dict)
    uri: str = "models:/m/1"


@pytest.mark.parametrize("execution", [Execution(), MUCH, Execution(batch_rows=1)])
def test_settings_come_back_from_their_tag(execution: Execution) -> None:
    assert execution_of(Tagged({EXECUTION: execution.to_json()})) == execution


def test_an_unmeasured_version_has_the_usual_settings() -> None:
    assert execution_of(Tagged()) == Execution(CPU, {}, "all", 1, None, None)


@pytest.mark.parametrize(
    "text",
    [
        "", "nothing", "[]", "null", '{"provider": 1}', '{"optimization": "most"}', '{"threads": 0}',
        '{"batch_rows": "many"}', '{"intra_threads": null}', '{"unknown": 1}', '{"threads": true}', '{"options": []}',
    ],
)  # fmt: skip
def test_a_damaged_tag_is_one_plain_line(text: str) -> None:
    with pytest.raises(InputError, match=r"^models:/m/1: its tag 'execution' is damaged; measure it again$"):
        execution_of(Tagged({EXECUTION: text}))


@absent
def test_a_provider_that_is_not_there_is_an_error(small: Small) -> None:
    """ONNX Runtime itself only warns, and takes the CPU."""
    graph = (small.downloaded / "model.onnx").read_bytes()
    with pytest.warns(UserWarning, match="not in available provider names"):
        silent = onnxruntime.InferenceSession(graph, providers=[CUDA, CPU])
    assert silent.get_providers() == [CPU]
    with pytest.raises(ProviderError, match=f"^{CUDA}: this build of onnxruntime has no such execution provider"):
        start_session(graph, Execution(CUDA))
    with pytest.raises(ProviderError, match=CUDA):
        Predictor.load(small.downloaded, execution=Execution(CUDA))


def test_a_provider_that_is_left_out_at_the_start_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the library of a provider can't be loaded: it is known, and the session has the CPU alone."""

    class Fallen:
        def __init__(self, *_: object, providers: list[tuple[str, dict[str, str]]]) -> None:
            assert [name for name, _ in providers] == [CUDA, CPU]

        def get_providers(self) -> list[str]:
            return [CPU]

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", Fallen)
    with pytest.raises(ProviderError, match=f"^{CUDA}: can't be started here; onnxruntime would have run on {CPU}$"):
        start_session(b"", Execution(CUDA))


def test_what_a_provider_says_at_its_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("CUDA failure 100: no CUDA-capable device\n#3 at frame")

    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [CUDA, CPU])
    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(ProviderError, match=f"^{CUDA}: can't be started: CUDA failure 100: no CUDA-capable device$"):
        start_session(b"", Execution(CUDA))


@pytest.mark.parametrize("name", ["cpu", "CPU", "CPUExecutionProvider", "cpuexecutionprovider"])
def test_providers_have_short_names(name: str) -> None:
    assert provider_named(name) == CPU


def test_an_unknown_provider_is_told_with_a_near_one() -> None:
    with pytest.raises(ProviderError, match=r"^CPUs: this build .* did you mean 'CPU'"):
        provider_named("CPUs")


def test_settings_reach_the_session() -> None:
    options = session_options(MUCH)
    assert (options.intra_op_num_threads, options.graph_optimization_level) == (
        2, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    )  # fmt: skip
    usual = session_options(Execution())
    assert (usual.intra_op_num_threads, usual.graph_optimization_level) == (
        1, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    )  # fmt: skip


def parsed(predictor: Predictor, rows: int) -> dict[str, pa.Array]:
    columns = {column.name: column.settings for column in predictor.contract.columns}
    raw = pa.Table.from_pandas(table(rows).astype(str).replace("nan", None), preserve_index=False)
    checked = check_batch(RawBatch("t", np.arange(rows), raw), columns, predictor.contract.missing)
    return {name: as_array(checked.table.column(name)) for name in columns}


def test_a_predictor_cuts_batches_and_starts_threads_as_it_is_told(small: Small) -> None:
    usual = Predictor.load(small.downloaded)
    assert usual.batch_rows == BATCH
    told = Predictor.load(small.downloaded, execution=Execution(batch_rows=7, threads=3))
    assert (told.batch_rows, told.threads) == (7, 3)
    assert Predictor.load(small.downloaded, threads=5, execution=Execution(threads=3)).threads == 5
    columns = parsed(usual, 40)
    one, other = usual.predict(columns), told.predict(columns)
    assert one.probabilities is not None and other.probabilities is not None
    assert abs(one.probabilities - other.probabilities).max() < 1e-6
    feed = {"load": columns["load"].to_numpy(zero_copy_only=False)}
    assert len(told._batches({c.name: feed["load"] for c in told.contract.columns})[0]) == -(-len(feed["load"]) // 7)


def test_a_predictor_keeps_its_settings_on_the_way_to_a_worker(small: Small) -> None:
    told = Predictor.load(small.downloaded, execution=Execution(batch_rows=7, threads=3, optimization="basic"))
    make, given, state = told.__reduce__()
    again = make(*given)
    again.__dict__.update(state)
    assert (again.execution, again.batch_rows, again.threads) == (told.execution, 7, 3)
    assert again.execution == replace(Execution(), batch_rows=7, threads=3, optimization="basic")


def test_rows_that_are_equal_may_be_scored_each(small: Small) -> None:
    predictor = Predictor.load(small.downloaded)
    columns: dict[str, Any] = parsed(predictor, 30)
    each, usual = predictor.predict_each(columns), predictor.predict(columns)
    assert each.index is not None and usual.index is not None
    assert each.index.tolist() == usual.index.tolist()


def scored_with(small: Small, folder: Path, execution: Execution, **options: int) -> dict[str, Any]:
    """The manifest of a run over 50 rows, as if they were many."""
    new_rows(50).to_parquet(folder / "in.parquet")
    sources, wanted = (
        look_at([str(folder / "in.parquet")], wanted_output(folder / "out")),
        wanted_output(folder / "out"),
    )
    request = Request.of("small/1", [str(folder / "in.parquet")], Options(**options), None)
    predictor = Predictor.load(small.downloaded, execution=execution)
    with claimed(wanted, overwrite=False) as sink:
        score_into(sink, predictor, sources, STAMP, request)
    return dict(manifest_of(str(folder / "out")))


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    def choose(*_: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(score, "MANY", 10)
    monkeypatch.setattr(score, "choose", choose)


@pytest.mark.usefixtures("unmeasured")
def test_a_run_takes_the_settings_of_its_version_and_keeps_them(small: Small, tmp_path: Path) -> None:
    execution = Execution(batch_rows=7, threads=1)
    found = scored_with(small, tmp_path, execution)
    assert (found["batch_rows"], found["threads"]) == (7, 1)
    assert [Execution.of(each) for each in found["executions"]] == [execution]


@pytest.mark.usefixtures("unmeasured")
def test_what_the_command_says_wins(small: Small, tmp_path: Path) -> None:
    found = scored_with(small, tmp_path, Execution(batch_rows=7, threads=1), batch_rows=5, threads=2)
    assert (found["batch_rows"], found["threads"]) == (5, 2)


def test_a_run_that_was_begun_goes_on_with_the_settings_it_had(small: Small, tmp_path: Path) -> None:
    began, now = Execution(batch_rows=7), Version("m", "1", "", "", {EXECUTION: MUCH.to_json()}, ())
    pinned = pinned_of(
        {name: found for name, found in scored_with(small, tmp_path, began).items() if name in FIELDS}, ""
    )
    assert pinned_executions(pinned, now, None) == (began, Execution())
    assert pinned_executions(None, now, now) == (MUCH, MUCH)
    assert pinned_executions(replace(pinned, executions=()), now, now) == (Execution(), Execution()), "earlier releases"


@pytest.mark.parametrize("key", ["backend_path", "trt_extra_plugin_lib_paths", "ModelCacheDirectory", "BACKEND_PATH"])
def test_a_tag_may_name_no_library_to_load(key: str) -> None:
    """Anybody who may set a tag would run code wherever the version is scored."""
    tag = Execution("QNNExecutionProvider", {key: "/tmp/other.so"}).to_json()
    with pytest.raises(InputError, match=f"its tag 'execution' has option {key!r}, which names a library or path"):
        execution_of(Tagged({EXECUTION: tag}))
    harmless = Execution(CUDA, {"device_id": "1", "trt_profile_min_shapes": "x:1"})
    assert execution_of(Tagged({EXECUTION: harmless.to_json()})) == harmless
