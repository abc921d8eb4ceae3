import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline, make_union
from sklearn.svm import LinearSVC

from tasks.data.hashing import hash_rows, unit_interval
from tasks.examples.support_messages import DAYS, MEDIAN_VALUE, TIER_SHARES, TIERS, WRITTEN, WRITTEN_LIVE, make

SPEC = Path(__file__).parents[3] / "models" / "specs" / "support-messages.toml"
MOST_ALIKE = 0.65
"""Cosine of the character n-grams of two messages; the same message with one typing error has about .9."""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("support-messages")
    make(folder)
    return folder


@pytest.fixture(scope="module")
def messages(made: Path) -> pd.DataFrame:
    return pd.read_csv(made / "messages.csv")


@pytest.fixture(scope="module")
def live(made: Path) -> pd.DataFrame:
    return pd.read_csv(made / "live.csv")


@pytest.fixture(scope="module")
def spec() -> dict[str, Any]:
    return tomllib.loads(SPEC.read_text(encoding="utf-8"))


def characters() -> TfidfVectorizer:
    return TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)


def test_equal_seeds_give_equal_bytes(made: Path, tmp_path: Path) -> None:
    make(tmp_path)
    for name in ("messages.csv", "live.csv"):
        assert (tmp_path / name).read_bytes() == (made / name).read_bytes()


def test_another_seed_draws_other_orders_for_the_same_messages(messages: pd.DataFrame, tmp_path: Path) -> None:
    make(tmp_path, seed=1)
    other = pd.read_csv(tmp_path / "messages.csv")
    written = ["message_id", "message", "condition", "intent", "wants_refund"]
    pd.testing.assert_frame_equal(other[written], messages[written])
    assert (other["order_value"] != messages["order_value"]).mean() > 0.9


def test_each_written_message_is_there_once_and_none_was_added(messages: pd.DataFrame, live: pd.DataFrame) -> None:
    for table, path in ((messages, WRITTEN), (live, WRITTEN_LIVE)):
        assert list(table["message"]) == list(pd.read_csv(path)["message"])
        assert table["message_id"].is_unique
    together = pd.concat([messages["message"], live["message"]])
    assert together.str.casefold().str.replace(r"\W+", " ", regex=True).str.strip().is_unique


def test_there_are_eight_intents_with_at_least_85_messages_each(messages: pd.DataFrame) -> None:
    counts = messages["intent"].value_counts()
    assert set(counts.index) == set(MEDIAN_VALUE) == set(TIER_SHARES)
    assert len(counts) == 8
    assert counts.min() >= 85
    assert counts.max() <= 1.25 * counts.min()


def test_no_two_messages_are_nearly_the_same(messages: pd.DataFrame, live: pd.DataFrame) -> None:
    vectors = characters().fit_transform(pd.concat([messages["message"], live["message"]]))
    alike = (vectors @ vectors.T).toarray()
    np.fill_diagonal(alike, 0.0)
    assert alike.max() < MOST_ALIKE


def test_a_message_with_a_typing_error_would_count_as_nearly_the_same(messages: pd.DataFrame) -> None:
    original = messages["message"].iloc[0]
    middle = len(original) // 2
    vectors = characters().fit_transform([*messages["message"], original[:middle] + original[middle + 1 :]])
    assert (vectors[-1] @ vectors[0].T).toarray().item() > MOST_ALIKE


def test_wants_refund_says_whether_the_intent_is_refund(messages: pd.DataFrame) -> None:
    assert ((messages["wants_refund"] == "yes") == (messages["intent"] == "refund")).all()


def test_the_word_refund_neither_makes_a_request_nor_is_needed_for_one(messages: pd.DataFrame) -> None:
    named = messages["message"].str.contains("refund", case=False)
    wanted = messages["intent"] == "refund"
    assert (named & ~wanted).sum() >= 60
    assert (~named & wanted).sum() >= 30
    misleading = messages["condition"] == "misleading words"
    assert not (misleading & wanted & named).any()
    assert named[misleading & ~wanted].mean() > 0.9


def test_anger_and_irony_are_found_in_every_intent(messages: pd.DataFrame) -> None:
    counts = pd.crosstab(messages["intent"], messages["condition"])
    assert counts.shape == (8, 6)
    assert (counts[["angry", "ironic"]] >= 5).all(axis=None)


def test_messages_are_short_and_long_and_hold_emoji_upper_case_and_currency_signs(messages: pd.DataFrame) -> None:
    text = messages["message"]
    lengths = text.str.len()
    assert lengths.min() <= 15
    assert lengths.max() >= 300
    assert (lengths > 200).sum() >= 50
    assert text.str.contains("[\U0001f300-\U0001faff]").sum() >= 15
    assert text.str.contains(r"\b[A-Z]{4,}\b").sum() >= 50
    assert text.str.contains("[£€]").sum() >= 4
    assert not text.str.contains(r"[\r\n\t]|  |^\s|\s$").any()


def test_values_days_and_tiers_are_in_range_and_some_are_missing(messages: pd.DataFrame, live: pd.DataFrame) -> None:
    for table in (messages, live):
        assert table["order_value"].dropna().gt(0).all()
        assert table["days_since_purchase"].dropna().between(0, 700).all()
        assert (table["days_since_purchase"].dropna() % 1 == 0).all()
        assert set(table["tier"].dropna()) <= set(TIERS)
    absent = messages[["order_value", "tier", "days_since_purchase"]].isna().mean()
    assert absent.between(0.03, 0.25).all()
    assert (messages["order_value"].isna() == messages["days_since_purchase"].isna()).all()


def test_who_asks_before_buying_often_has_no_order(messages: pd.DataFrame) -> None:
    absent = messages["order_value"].isna()
    asking = messages["intent"] == "question"
    assert 0.5 < absent[asking].mean() < 0.8
    assert absent[~asking].mean() < 0.15


def test_days_mostly_follow_what_the_message_says(messages: pd.DataFrame) -> None:
    said = pd.read_csv(WRITTEN)["purchased"]
    days = messages["days_since_purchase"]
    for when in ("today", "days", "weeks", "months"):
        known = days[(said == when) & days.notna()]
        assert 0.85 < known.between(*DAYS[when]).mean() < 1


def test_orders_are_related_to_intents_as_the_story_tells(messages: pd.DataFrame) -> None:
    medians = messages.groupby("intent")[["order_value", "days_since_purchase"]].median()
    assert (medians.loc[["damaged", "cancel"], "order_value"] > 1.5 * medians.loc["feedback", "order_value"]).all()
    assert medians["days_since_purchase"].idxmin() == "cancel"
    gold = (messages["tier"] == "gold").groupby(messages["intent"]).mean()
    assert gold.idxmax() == "feedback"


def test_live_has_about_twenty_messages_and_gives_no_label_away(messages: pd.DataFrame, live: pd.DataFrame) -> None:
    assert 20 <= len(live) <= 30
    assert list(live) == ["message_id", "message", "order_value", "tier", "days_since_purchase"]
    assert set(live["message_id"]).isdisjoint(messages["message_id"])


def test_every_intent_and_condition_has_its_share_of_each_split(messages: pd.DataFrame, spec: dict[str, Any]) -> None:
    place = unit_interval(hash_rows(pa.table({"id": pa.array(messages["message_id"].tolist())}), ["id"]))
    test, validation = spec["split"]["test"], spec["split"]["validation"]
    tested, validated = place < test, (place >= test) & (place < test + validation)
    for column in ("intent", "condition"):
        assert pd.Series(tested).groupby(messages[column]).sum().min() >= 20
        assert pd.Series(validated).groupby(messages[column]).sum().min() >= 8


def test_the_model_file_names_columns_of_the_table_and_no_feature_gives_the_answer_away(
    messages: pd.DataFrame, spec: dict[str, Any]
) -> None:
    features = set(spec["columns"])
    others = {spec["target"]["column"], *spec["evaluation"]["slices"], spec["split"]["key"]}
    assert features | others <= set(messages)
    assert features.isdisjoint({"intent", "wants_refund", "condition", "message_id"})
    assert {"message", "order_value", "tier", "days_since_purchase"} == features


def test_the_commented_binary_target_is_a_section_that_fits_the_table(messages: pd.DataFrame) -> None:
    lines = SPEC.read_text(encoding="utf-8").splitlines()
    start = lines.index("# [target]")
    target = tomllib.loads("\n".join(line.removeprefix("# ") for line in lines[start : start + 4]))["target"]
    assert target["positive"] in set(messages[target["column"]])
    assert target["cost"] == {"false_alarm": 1, "miss": 4}


def test_a_linear_model_of_the_words_is_good_but_far_from_perfect(messages: pd.DataFrame) -> None:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    model = make_pipeline(make_union(words, characters()), LinearSVC(C=0.5))
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    told = cross_val_predict(model, messages["message"], messages["intent"], cv=folds)
    assert 0.75 < (told == messages["intent"]).mean() < 0.93
