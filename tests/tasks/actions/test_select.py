"""What each action takes of the predictions, and that the outbox gives it back."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from models.actions import Action
from models.errors import InputError
from tasks.actions.outbox import OutboxWriter, write_outbox
from tasks.actions.select import Actions
from tests.tasks.actions.predicted import CLASSES, inputs, predictions


def action(name: str, when: str, columns: tuple[str, ...] | None = None) -> Action:
    return Action(name=name, when=when, to="/out", columns=columns)


def test_each_action_takes_its_rows_with_the_wanted_columns() -> None:
    taken = Actions(
        [
            action("refund", 'label == "refund" and probability >= 0.9'),
            action("note", 'label == "cancel"', ("message", "probability_refund", "message")),
            action("none", "probability > 0.999"),
        ],
        CLASSES,
    ).select(predictions(), inputs())
    identity = ["model", "model_version", "run_id", "source", "row"]
    assert taken["refund"].column_names == [
        *identity,
        "label",
        "probability",
        "probability_cancel",
        "probability_refund",
    ]
    assert taken["refund"]["row"].to_pylist() == [2, 5]
    assert taken["note"].drop_columns(identity).to_pylist() == [
        {"message": "message 1", "probability_refund": pytest.approx(0.2)},
        {"message": "message 4", "probability_refund": pytest.approx(0.1)},
    ]
    assert len(taken["none"]) == 0 and taken["none"].schema == taken["refund"].schema


def test_an_input_column_that_is_called_like_an_output_is_not_taken_for_it() -> None:
    raw = inputs().append_column("label", pa.array(["refund"] * 5))
    taken = Actions([action("a", 'label == "cancel"', ("label",))], CLASSES).select(predictions(), raw)
    assert taken["a"]["label"].to_pylist() == ["cancel", "cancel"]


def test_the_columns_that_rows_to_be_scored_must_have_are_known() -> None:
    wanted = [action("a", "probability > 0", ("message", "label")), action("b", "probability > 0", ("id", "message"))]
    assert Actions(wanted, CLASSES).inputs == ("message", "id")
    assert Actions([], CLASSES).inputs == () and Actions([], CLASSES).select(predictions(), inputs()) == {}


def test_actions_that_do_not_fit_the_classes_are_refused() -> None:
    with pytest.raises(InputError, match=r"actions.a.when: no class is 'refnd'; did you mean 'refund'\?"):
        Actions([action("a", 'label == "refnd"')], CLASSES)


def test_an_outbox_holds_the_rows_in_plain_types_and_has_equal_bytes_for_equal_rows(tmp_path: Path) -> None:
    taken = Actions([action("a", "probability > 0.1", ("message", "label"))], CLASSES).select(predictions(), inputs())[
        "a"
    ]
    write_outbox(tmp_path / "one.parquet", taken)
    writer = OutboxWriter(tmp_path / "two.parquet", taken.schema)
    for start in range(0, len(taken), 2):
        writer.write_table(taken.slice(start, 2))
    writer.close()
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()
    back = pq.read_table(tmp_path / "one.parquet")
    assert back.to_pylist() == taken.to_pylist() and back["source"].type == pa.string()


def test_an_outbox_without_rows_is_a_file_too(tmp_path: Path) -> None:
    taken = Actions([action("a", "probability > 0.999")], CLASSES).select(predictions(), inputs())["a"]
    write_outbox(tmp_path / "none.parquet", taken)
    assert pq.read_table(tmp_path / "none.parquet").num_rows == 0
