"""What drift is looked for in, of texts, pictures, recordings and all else that a model takes."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from models.columns import KINDS
from models.columns.audio.feed import AudioSettings
from models.columns.category.feed import CategorySettings
from models.columns.datetime.feed import DatetimeSettings
from models.columns.image.feed import ImageSettings
from models.columns.kind import ColumnSettings
from models.columns.number.feed import NumberSettings
from models.columns.series.feed import SeriesSettings
from models.columns.text.feed import TextSettings
from models.contract import read_contract
from tasks.monitoring.vocabulary import vocabularies_of
from tasks.monitoring.watched import Values, watched_in, watched_predictions
from tasks.scoring.predictor import Predictions
from tests.contracts import contract_of
from tests.packages import export_quickly
from tests.promises.conftest import picture, recording
from tests.small import QUICK, table, write_model


def watched(settings: ColumnSettings, raw: pa.Array) -> dict[str, Values]:
    column = contract_of({"a": settings}).columns[0]
    return dict(watched_in(column, KINDS[settings.kind].parse(raw, settings, ()).values, None))


def plain(values: Values) -> list[float | None]:
    return [None if value != value else round(float(value), 6) for value in np.asarray(values)]


def test_numbers_and_dates_are_watched_as_they_are() -> None:
    found = watched(NumberSettings(), pa.array([1.5, None, -3]))
    assert (plain(found["value"]), plain(found["missing"])) == ([1.5, None, -3], [0, 1, 0])
    found = watched(DatetimeSettings(), pa.array(["1970-01-02", None]))
    assert plain(found["time"]) == [86_400, None]


def test_pictures_are_watched_by_brightness_and_contrast() -> None:
    found = watched(ImageSettings(size=16), pa.array([picture(200), None], pa.binary()))
    assert plain(found["brightness"]) == [pytest.approx((200 + 80 + 55) / 3, abs=1), None]
    assert plain(found["contrast"]) == [pytest.approx(0, abs=0.01), None]
    assert plain(watched(ImageSettings(size=16), pa.nulls(2, pa.binary()))["contrast"]) == [None, None]


def test_recordings_are_watched_by_level_and_length() -> None:
    settings = AudioSettings(sample_rate=4000, seconds=0.5)
    found = watched(settings, pa.array([recording(400), None], pa.binary()))
    level = 20 * np.log10(0.4 / np.sqrt(2))
    assert plain(found["level"]) == [pytest.approx(level, abs=0.2), None]
    assert plain(found["seconds"]) == [0.2, None]
    assert plain(watched(settings, pa.nulls(0, pa.binary()))["level"]) == []


def test_windows_are_watched_by_mean_spread_and_trend() -> None:
    windows = np.array([[1, 2, 3], [np.nan] * 3], np.float32)
    values = pa.array([row.tobytes() for row in windows], pa.binary(12))
    found = watched(SeriesSettings(window=3), values)
    assert plain(found["mean"]) == [2, None]
    assert plain(found["spread"]) == [round(np.sqrt(2 / 3), 6), None]
    assert plain(found["trend"]) == [2, None]


def test_values_outside_of_the_vocabulary_are_unseen() -> None:
    settings = CategorySettings(min_count=1)
    kind = KINDS["category"]
    learnt = kind.parse(pa.array(["a", "b"]), settings, ()).values
    column = contract_of({"a": settings}).columns[0]
    column = column.model_copy(update={"statistics": kind.fit([learnt], settings)})
    values = kind.parse(pa.array(["a", "c", None, "b"]), settings, ()).values
    assert plain(watched_in(column, values, None)["unseen"]) == [0, 1, 0, 0]


def test_of_a_sensitive_column_only_what_can_do_without_its_values() -> None:
    assert set(watched(NumberSettings(sensitive=True), pa.array([1.0]))) == {"missing"}
    assert set(watched(TextSettings(sensitive=True), pa.array(["me"]))) == {"missing"}
    assert set(watched(CategorySettings(sensitive=True), pa.array(["me"]))) == {"missing", "value", "unseen"}


def test_predictions_are_watched_by_label_and_probability_or_by_value() -> None:
    two = contract_of({"a": NumberSettings()}, "binary", classes=("no", "yes"))
    both = Predictions(np.array([1, 0]), np.array([[0.3, 0.7], [0.9, 0.1]], np.float32), None)
    found = watched_predictions(both, two)
    assert (found["label"].to_pylist(), plain(found["probability"])) == (["yes", "no"], [0.7, 0.1])
    three = contract_of({"a": NumberSettings()}, "multiclass", classes=(1, 2, 3))
    one = watched_predictions(Predictions(np.array([2]), np.array([[0.2, 0.2, 0.6]], np.float32), None), three)
    assert (one["label"].to_pylist(), plain(one["probability"])) == (["3"], [0.6])
    value = watched_predictions(Predictions(None, None, np.array([4.5], np.float32)), contract_of({}))
    assert plain(value["value"]) == [4.5]


def test_words_that_the_graph_does_not_know_are_found(tmp_path: Path) -> None:
    frame = table(200)
    frame["note"] = np.where(frame["broken"] == "yes", "Größe, passt nicht!", "alles gut")
    frame["other"] = "nothing to say"
    columns = '[columns]\n"other" = "text"\n"note" = "text"\n"load" = "number"\n'
    package = export_quickly(write_model(tmp_path, "words", frame, columns=columns, quick=QUICK), tmp_path).folder
    contract = read_contract(package)
    known = vocabularies_of(package, contract)
    assert set(known) == {"other", "note"}
    given = pa.array(["alles GUT", "größe passt such", "was?", None, "say to nothing"])
    texts = KINDS["text"].parse(given, TextSettings(), ()).values
    assert plain(known["note"].unknown(texts)) == [0, round(1 / 3, 6), 1, None, 1]
    assert plain(known["other"].unknown(texts))[-1] == 0
    note = next(column for column in contract.columns if column.name == "note")
    assert plain(watched_in(note, texts, known["note"])["characters"]) == [9, 16, 4, None, 14]
    hidden = note.model_copy(update={"settings": TextSettings(sensitive=True)})
    columns_hidden = tuple(hidden if column is note else column for column in contract.columns)
    assert set(vocabularies_of(package, contract.model_copy(update={"columns": columns_hidden}))) == {"other"}
