import json

import numpy as np
import pyarrow as pa
import pytest

from models.columns import KINDS, ColumnSettings
from models.columns.audio.feed import AudioSettings
from models.columns.cells import as_fixed
from models.columns.image.feed import ImageSettings
from models.columns.number.feed import NumberSettings
from models.columns.series.feed import SeriesSettings
from models.columns.text.feed import TextSettings
from models.contract import Contract, ContractColumn, SplitSpec
from tasks.data.layout import stored_split_name
from tasks.evaluation import examples
from tasks.evaluation.evaluate import Evaluation, evaluate
from tasks.evaluation.examples import Mistakes, find_mistakes
from tasks.evaluation.plots import figures
from tasks.evaluation.report import ReportFacts, render_report
from tasks.evaluation.scored import Scored, scored_classes, scored_values
from tasks.evaluation.unseen import summarised
from tests.tasks.evaluation.cases import as_category, unseen

CLASSES = ("apple", "pear", "plum")
SETTINGS: dict[str, ColumnSettings] = {
    "words": TextSettings(),
    "picture": ImageSettings(size=8),
    "sound": AudioSettings(sample_rate=1000, seconds=0.1),
    "channel": SeriesSettings(window=5),
    "weight": NumberSettings(),
    "secret": TextSettings(sensitive=True),
}


def table(rows: int = 60) -> pa.Table:
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (rows, 192), np.uint8)
    sounds = generator.integers(-9000, 9000, (rows, 100), np.int16)
    windows = generator.normal(size=(rows, 5)).astype("<f4")
    return pa.table(
        {
            "words": [f"<b>fruit</b> {row}" for row in range(rows)],
            "picture": pa.array([row.tobytes() for row in pixels], pa.binary(192)),
            "sound": as_fixed(sounds, np.ones(rows, bool)),
            "channel": pa.array([row.tobytes() for row in windows], pa.binary(20)),
            "weight": [None, *np.arange(rows - 1).astype(float)],
            "secret": ["canary"] * rows,
            stored_split_name("box"): [f"box {row // 2}" for row in range(rows)],
            "fruit": as_category([CLASSES[row % 3] for row in range(rows)]),
            "price": np.arange(rows).astype(float),
        }
    )


def contract(rows: pa.Table, regression: bool = False) -> Contract:
    columns = tuple(
        ContractColumn(name=n, settings=s, statistics=KINDS[s.kind].fit([rows[n].combine_chunks()], s))
        for n, s in SETTINGS.items()
    )
    return Contract(
        name="fruit",
        task="regression" if regression else "multiclass",
        target="price" if regression else "fruit",
        columns=columns,
        missing=(),
        classes=() if regression else CLASSES,
        split=SplitSpec(rule="hash", columns=(stored_split_name("box"),), validation=0.1, test=0.1),
        **dict.fromkeys(("snapshot", "model_file", "code", "graph_sha256"), "0" * 64),
    )


def decided(truth: list[int], labels: list[int], sure: list[float]) -> Scored:
    probabilities = np.array([[(1 - s) / 2] * 3 for s in sure])
    probabilities[np.arange(len(labels)), labels] = sure
    return scored_classes(np.array(truth), np.array(labels), probabilities)


def found(scored: Scored, rows: pa.Table, groups: np.ndarray | None = None) -> tuple[Mistakes, ...]:
    judging = contract(rows, scored.task == "regression")
    rows = rows.slice(0, len(scored))
    return find_mistakes(judging, unseen(judging, lambda _: scored, rows), (), groups)


def test_the_most_frequent_pairs_come_first_and_in_them_the_surest() -> None:
    scored = decided([0, 1, 1, 1, 2, 0], [0, 2, 2, 2, 0, 0], [0.9, 0.5, 0.8, 0.6, 0.7, 0.9])
    first, second = found(scored, table(6))
    assert (first.truth, first.decision, first.rows, first.of) == ("pear", "plum", 3, 3)
    assert [example.row for example in first.examples] == [2, 3, 1]
    assert first.examples[0].said == 0.8
    assert first.examples[0].true == pytest.approx(0.1)
    assert (second.truth, second.decision, second.rows) == ("plum", "apple", 1)


def test_no_mistakes_have_no_examples() -> None:
    assert found(decided([0, 1], [0, 1], [0.9, 0.9]), table(6)) == ()


def test_rows_of_one_group_give_one_example_while_there_are_others() -> None:
    scored = decided([0] * 8, [1] * 8, [0.9, 0.8, 0.7, 0.6, 0.5, 0.45, 0.4, 0.38])
    groups = np.array([0, 0, 0, 0, 0, 1, 2, 0])
    assert [example.row for example in found(scored, table(8), groups)[0].examples] == [0, 1, 5, 6]


def test_the_largest_errors_of_a_regression() -> None:
    truth = np.arange(20.0)
    values = truth.copy()
    values[[3, 7]] += [-50, 2]
    (errors,) = found(scored_values(truth, values), table(20))
    assert [example.row for example in errors.examples[:2]] == [3, 7]
    assert (errors.examples[0].said, errors.examples[0].true) == (-47, 3)
    assert len(errors.examples) == 8


def test_a_sensitive_target_has_no_examples_of_its_values() -> None:
    rows = table(20)
    hidden = contract(rows, regression=True).model_copy(update={"sensitive_columns": ("price",)})
    scored = scored_values(np.arange(20.0), np.zeros(20))
    assert find_mistakes(hidden, unseen(hidden, lambda _: scored, rows), ()) == ()


def test_values_are_shown_as_their_kinds_say_and_sensitive_ones_are_not() -> None:
    (pair,) = found(decided([0, 1], [1, 1], [0.9, 0.9]), table(6))
    large = {part.column: part.value for part in pair.examples[0].large}
    assert large["secret"] is None
    assert large["words"] is not None
    assert large["words"].text == "<b>fruit</b> 0"
    assert large["picture"] is not None
    assert large["picture"].picture.startswith(b"\x89PNG")
    facts = {part.column: part.value for part in pair.examples[0].facts}
    assert facts["box"] is not None
    assert facts["box"].text == "box 0"
    assert facts["weight"] is not None
    assert facts["weight"].text == ""


def test_recordings_are_heard_while_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "MOST_SOUND", 300)
    (pair,) = found(decided([0, 0], [1, 1], [0.9, 0.8]), table(6))
    sounds = [part.value for example in pair.examples for part in example.large if part.column == "sound"]
    assert [bool(shown and shown.sound) for shown in sounds] == [True, False]
    assert all(shown is not None and shown.drawn for shown in sounds)


@pytest.fixture(scope="module")
def judged() -> Evaluation:
    rows = table()

    def predict(part: pa.Table) -> Scored:
        truth = np.array([CLASSES.index(name) for name in part["fruit"].to_pylist()])
        light = np.array([sum(cell[:96]) for cell in part["picture"].to_pylist()])
        wrong = light > 12_200
        return decided(truth.tolist(), np.where(wrong, (truth + 1) % 3, truth).tolist(), [0.6] * len(truth))

    judging = contract(rows)
    return evaluate(judging, predict, summarised(rows, SETTINGS), unseen(judging, predict, rows), resamples=20)


def test_the_record_holds_no_values(judged: Evaluation) -> None:
    written = json.dumps(judged.record(), allow_nan=False)
    assert "canary" not in written
    assert "fruit</b>" not in written
    assert set(judged.record()["mistakes"][0]["examples"][0]) == {"row", "said", "true"}


def test_the_page_shows_what_is_mixed_up(judged: Evaluation) -> None:
    page = render_report(contract(table()), judged, figures(judged), ReportFacts(rows={"test": 60}))
    for part in ("data:image/png;base64,", "data:audio/wav;base64,", 'svg class="curve"', "hidden", "missing"):
        assert part in page
    assert "&lt;b&gt;fruit&lt;/b&gt;" in page
    assert "<b>fruit" not in page
    assert "canary" not in page
    assert len(page) < 2_000_000


def test_shifts_are_told_in_words_with_the_largest_loss_first(judged: Evaluation) -> None:
    page = render_report(contract(table()), judged, figures(judged), ReportFacts(rows={"test": 60}))
    section = page[page.index('id="robustness"') :]
    assert "pictures slightly out of focus" in section
    losses = [part.usual["accuracy"] - part.metrics["accuracy"] for part in judged.robustness]
    worst = judged.robustness[int(np.argmax(losses))].shift
    assert section.index(f"<b>{worst}</b>") == min(section.index(f"<b>{part.shift}</b>") for part in judged.robustness)
    assert f"accuracy_under_{worst} = {{ min = " in section
