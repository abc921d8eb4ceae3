"""The search: what it tries follows from the seed, also after a kill, and test rows are never read."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

import pytest

from models.modelfile import ModelFile
from tasks.data import rows as rows_module
from tasks.data.snapshot import ingest
from tasks.data.splits import TEST
from tasks.training import fit
from tasks.training.loop import EpochReport
from tasks.tuning import steps
from tasks.tuning.ended import Ended, best_of
from tasks.tuning.plan import Plan, ask, plan_search, write_best
from tasks.tuning.search import Tell, search
from tasks.tuning.space import Value
from tests.small import table, write_model

pytest.importorskip("optuna")
SEARCHES = ["training.learning_rate=0.001..0.1", "network.width=4,8,16"]


def planned(folder: Path, trials: int, home: str = "home", seed: int = 0, timeout: float | None = None) -> Plan:
    file = folder / "m.toml"
    if not file.exists():
        write_model(folder, "m", table(300))
    asked = ask(file, SEARCHES, None, trials, timeout, seed)
    return plan_search(asked, ingest(asked.model_file, folder / home), folder / home)


class Record:
    """What a search told, and a kill after so many epochs."""

    def __init__(self, die_after: int | None = None) -> None:
        self.begun: list[tuple[int, dict[str, Value]]] = []
        self.done: list[Ended] = []
        self.epochs = 0
        self.die_after = die_after

    @contextmanager
    def watch(self, number: int, values: dict[str, Value]) -> Iterator[tuple[str, Tell]]:
        self.begun.append((number, values))
        yield f"run-{number}", self.tell

    def tell(self, report: EpochReport) -> None:
        self.epochs += 1
        if self.epochs == self.die_after:
            raise KeyboardInterrupt

    def run(self, plan: Plan) -> list[Ended]:
        return search(plan, self.watch, self.done.append)


def test_the_first_trial_has_the_settings_of_the_file_and_the_best_is_no_worse(tmp_path: Path) -> None:
    record = Record()
    ended = record.run(planned(tmp_path, 4))
    assert record.begun[0] == (1, {"training.learning_rate": 0.02, "network.width": 8})
    assert [trial.number for trial in ended] == [1, 2, 3, 4] and record.done == ended
    best = best_of(ended)
    assert best and best.loss == min(t.loss for t in ended if t.loss is not None and not t.pruned)
    assert ended[0].loss is not None and best.loss is not None and best.loss <= ended[0].loss
    assert all(trial.run_id == f"run-{trial.number}" for trial in ended)


def test_a_killed_search_goes_on_and_tries_what_an_undisturbed_one_tries(tmp_path: Path) -> None:
    whole = Record().run(planned(tmp_path, 5))
    killed = Record(die_after=6)
    with pytest.raises(KeyboardInterrupt):
        killed.run(planned(tmp_path, 5, home="killed"))
    again = Record()
    ended = again.run(planned(tmp_path, 5, home="killed"))
    assert 1 <= len(killed.done) < 5
    assert again.begun[0] == killed.begun[-1]
    assert len(killed.done) + len(again.done) == 5
    assert [(t.values, t.loss, t.pruned) for t in ended] == [(t.values, t.loss, t.pruned) for t in whole]


def test_a_kill_before_the_first_trial_is_asked_for_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import optuna

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(optuna.Study, "ask", killed)
        Record().run(planned(tmp_path, 1))
    again = Record()
    assert len(again.run(planned(tmp_path, 1))) == 1
    assert again.begun == [(1, {"training.learning_rate": 0.02, "network.width": 8})]
    assert len(optuna.load_study(study_name="m", storage=planned(tmp_path, 1).storage).trials) == 1


def test_the_best_is_written_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = planned(tmp_path, 1).asked
    before = write_best(asked, {"network.width": 4}, 0.5).read_text()
    real = Path.write_text

    def cut_short(path: Path, text: str, **how: str) -> int:
        real(path, text[: len(text) // 2], **how)
        raise OSError("no space left on device")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(Path, "write_text", cut_short)
        write_best(asked, {"network.width": 16}, 0.4)
    assert asked.output.read_text() == before
    assert not list(tmp_path.glob(".tuned*"))


def test_more_trials_go_on_with_those_that_ended(tmp_path: Path) -> None:
    first = Record().run(planned(tmp_path, 2))
    more = Record()
    assert more.run(planned(tmp_path, 3))[:2] == first
    assert [number for number, _ in more.begun] == [3]
    other = Record()
    other.run(planned(tmp_path, 2, seed=1))
    assert [number for number, _ in other.begun] == [1, 2]


def test_a_trial_that_cannot_be_trained_is_told_and_not_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from models.errors import InputError
    from tasks.tuning import search as module

    real = module._train

    def train(model_file: ModelFile, *rest: object) -> float:
        if model_file.network.width == 8:
            raise InputError("training: the loss is not finite")
        return real(model_file, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "_train", train)
    ended = Record().run(planned(tmp_path, 3))
    assert (ended[0].reason, ended[0].loss) == ("training: the loss is not finite", None)
    assert len(ended) == 3
    best = best_of(ended)
    assert best is None or best.values["network.width"] != 8


def test_encoded_rows_go_when_all_trials_have_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "runs", mock.Mock())
    plan = planned(tmp_path, 2)
    plan.tensors.mkdir(parents=True)
    ended = [Ended(number, {"network.width": 4}, 0.5, 2, False, "", f"run-{number}") for number in (1, 2)]
    steps.write_tuned.fn(plan, ended[:1], "run")
    assert plan.tensors.exists(), "the next start goes on"
    steps.write_tuned.fn(plan, ended, "run")
    assert not plan.tensors.exists() and plan.folder.exists()


def test_no_trial_starts_after_the_time(tmp_path: Path) -> None:
    record = Record()
    assert record.run(planned(tmp_path, 3, timeout=0)) == []
    assert best_of([]) is None


def test_a_trial_that_the_others_leave_behind_is_pruned(tmp_path: Path) -> None:
    file = write_model(tmp_path, "m", table(300))
    file.write_text(file.read_text().replace("epochs = 2", "epochs = 5"))
    slow = ",".join(f"{n}e-9" for n in range(1, 10))
    asked = ask(file, [f"training.learning_rate=0.02,0.03,0.04,{slow}"], None, 10, None, 0)
    ended = Record().run(plan_search(asked, ingest(asked.model_file, tmp_path / "home"), tmp_path / "home"))
    first = [trial for trial in ended if trial.values["training.learning_rate"] > 0.01]
    pruned = [trial for trial in ended if trial.pruned]
    assert first and not any(trial.pruned for trial in first)
    assert pruned and all(trial.epochs == 3 for trial in pruned)


def test_test_rows_are_never_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    real = fit.masked_batches

    def masked(snapshot: object, mask: object, columns: object = None) -> object:
        read.append(int((mask & test).sum()))  # type: ignore[operator]
        return real(snapshot, mask, columns)  # type: ignore[arg-type]

    plan = planned(tmp_path, 1)
    from tasks.data.snapshot import open_snapshot
    from tasks.data.splits import fit_split

    snapshot = open_snapshot(plan.snapshot)
    test = rows_module.assign_rows(snapshot, fit_split(plan.asked.model_file, snapshot)) == TEST
    assert test.sum() > 20
    monkeypatch.setattr(fit, "masked_batches", masked)
    Record().run(plan)
    assert len(read) > 5 and set(read) == {0}
