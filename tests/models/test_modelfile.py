"""A model file says all of its problems at once, one plain line each."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from models.columns import KINDS
from models.errors import InputError
from models.modelfile import ModelFile, read_model_file, read_model_files
from models.problems import PLAIN, near_match
from models.sections import DEFAULT_MISSING
from tests.models.written import problems

GOOD = """
name = "m"
[[sources]]
uri = "data/*.csv"
[target]
column = "y"
[columns]
x = "number"
c = { kind = "category", sensitive = true }
"""


def write(tmp_path: Path, text: str, name: str = "m.toml") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_every_key_but_name_sources_target_and_columns_has_a_default(tmp_path: Path) -> None:
    model_file = read_model_file(write(tmp_path, GOOD))
    assert model_file.sources[0].uri == str(tmp_path / "data/*.csv")
    assert (model_file.data.missing, model_file.data.max_rejects) == (DEFAULT_MISSING, 0.05)
    assert model_file.sensitive == {"c"}


def test_all_problems_are_said_at_once(tmp_path: Path) -> None:
    text = """
    name = "no spaces please"
    colums = 3
    [[sources]]
    uri = 3
    [target]
    column = "y"
    kind = "binry"
    [columns]
    y = "number"
    a = "nmber"
    b = { kind = "number", mn = 1 }
    c = { kind = "number", min = 2, max = 1 }
    d = 7
    e = { kind = "datetime", timezone = "Mars/Phobos" }
    [split]
    time = "t"
    group = "g"
    validation = 0.5
    test = 0.6
    [gates]
    acuracy = { min = 0.5 }
    """
    assert problems(tmp_path, text) == [
        f"name: {PLAIN['string_pattern_mismatch']} (is 'no spaces please')",
        "sources.0.uri: input should be a valid string (is 3)",
        "target.kind: input should be 'binary', 'multiclass' or 'regression' (is 'binry')",
        "columns.'a': 'nmber' is no kind; did you mean 'number'?",
        "columns.'b'.mn: unknown key; did you mean 'min'?",
        "columns.'c': min 2 is above max 1",
        f"columns.'d': give a kind ({', '.join(KINDS)}) or a table with one",
        "columns.'e'.timezone: no time zone is called 'Mars/Phobos'",
        "colums: unknown key; did you mean 'columns'?",
        "columns.'y': the target can't be a feature; remove the line",
        "split: group and time exclude each other; keep one",
        "split: validation and test together leave nothing to train on",
        "gates.acuracy: no such gate; did you mean 'accuracy'?",
    ]


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("[target]", "[taget]"), "target: missing"),
        (('column = "y"', 'column = ["y"]'), "target.column: input should be a valid string"),
        (("[columns]", "[columns]\ny = 'number'"), "columns.'y': the target can't be a feature; remove the line"),
        (("[columns]", "[data]\nmax_rejects = 'few'\n[columns]"), "data.max_rejects: input should be a valid number"),
        (("[columns]", "[data]\nmissing = 3\n[columns]"), "data.missing: input should be a list (is 3)"),
        (("[columns]", "[split]\nkey = ['a', 'y']\n[columns]"), "split: the target 'y' can't decide the split"),
        (("[columns]", "[split]\nnewest_by = 't'\n[columns]"), "split.newest_by: needs split.key"),
        (("[columns]", "[data]\nlast_rows = 5\n[columns]"), "data: last_days and last_rows need split.time"),
        (
            ("[columns]", "[data]\nlast_rows = 5\n[schedule]\nmin_new_rows = 6\n[columns]"),
            "schedule.min_new_rows: more than data.last_rows keeps",
        ),
        (("[columns]", "[gates.r2]\nmn = 0\n[columns]"), "gates.r2.mn: unknown key; did you mean 'min'?"),
        (("[columns]", "[[gates]]\n[columns]"), "gates: input should be a table"),
        (("x =", '"a\\nb" = 3\nx ='), "columns.'a\\nb': give a kind"),
        (("[columns]", "[training]\nweight = 'y'\n[columns]"), "training.weight: the target 'y' can't be the weight"),
        (("x =", '"perennial.x" = "number"\nx ='), "columns.'perennial.x': names that start with 'perennial.' are"),
        (("[columns]", "[gates.f1]\nmin = 0.9\nmax = 0.1\n[columns]"), "gates.f1: min 0.9 is above max 0.1"),
        (("[columns]", "[gates.f1]\nmin = nan\n[columns]"), "gates.f1.min: input should be a finite number"),
        (("[columns]", "[gates.f1]\nmargin = inf\n[columns]"), "gates.f1.margin: input should be a finite number"),
        (
            ("[columns]", "[gates.latency_p99_ms]\nmax = 5\nbeats_champion = true\n[columns]"),
            "gates.latency_p99_ms.beats_champion: this gate takes min and max only; remove it",
        ),
        (
            ("[columns]", "[gates.latency_p99_ms]\nmax = 5\nslices = ['c']\n[columns]"),
            "gates.latency_p99_ms.slices: this gate takes min and max only; remove it",
        ),
        (
            ("[columns]", "[schedule]\nretrain = 'every day'\n[columns]"),
            "schedule.retrain: a cron expression has five fields, such as '0 3 * * *', but 'every day' has 2",
        ),
        (
            ("[columns]", "[schedule]\nretrain = '0 25 * * *'\n[columns]"),
            "schedule.retrain: '0 25 * * *' is no cron expression (bad hour)",
        ),
        (
            ("[columns]", "[schedule]\ntimezone = 'Mars/Phobos'\n[columns]"),
            "schedule.timezone: no time zone is called 'Mars/Phobos'",
        ),
        (("[columns]", "[schedule]\nmonitor = '0 4 * * *'\n[columns]"), "schedule.monitor: needs monitor.input"),
        (("[columns]", "[monitor]\ninput = [' ']\n[columns]"), "monitor.input: give files, folders or globs"),
        (
            ("[columns]", "[monitor]\ninput = 'sqlite:///plant.db#rows'\n[columns]"),
            "monitor.input: sqlite is no file; monitor tables by `perennial monitor`",
        ),
        (
            ("[columns]", "[monitor]\nwindows = 2\nbreaches = 3\n[columns]"),
            "monitor: 3 breaches never happen in 2 windows",
        ),
        (('name = "m"', "name = 'm.1'"), f"name: {PLAIN['string_pattern_mismatch']} (is 'm.1')"),
        (("data/*.csv", ""), "sources.0.uri: give a file, folder or glob"),
        (("data/*.csv", "a\\u0000b"), "sources.0.uri: give a file, folder or glob"),
        (("data/*.csv", "a" * 5000), "sources.0.uri: string should have at most 4096 characters"),
        (("[columns]", "[data]\nlast_days = inf\n[columns]"), "data.last_days: input should be "),
        (("[columns]", "[data]\nlast_days = 1e9\n[columns]"), "data.last_days: input should be less than or equal"),
        (("[columns]", "[training]\nseed = 2147483648\n[columns]"), "training.seed: input should be less than or"),
        (("[columns]", "[training]\nlearning_rate = inf\n[columns]"), "training.learning_rate: input should be a fin"),
        (("[columns]", "[training]\nmemory_gb = nan\n[columns]"), "training.memory_gb: input should be a finite"),
        (("[columns]", "cost = { miss = inf }\n[columns]"), "target.cost.miss: input should be a finite number"),
        (("x =", 'z = { kind = "number", max = inf }\nx ='), "columns.'z'.max: input should be a finite number"),
        (("[columns]", f"{'k' * 5_000_000} = 1\n[columns]"), "target.kkkkk"),
        (("x =", f"{'k' * 5_000_000} = 1\nx ="), "columns.'kkkkk"),
        (("x =", 't = { kind = "datetime", format = "%Q" }\nx ='), "columns.'t'.format: '%Q' is no strptime pattern ("),
        (("x =", 't = { kind = "datetime", format = "%d%d" }\nx ='), "columns.'t'.format: '%d%d' is no strptime"),
        (("x =", 't = { kind = "datetime", format = "mixed" }\nx ='), "columns.'t'.format: 'mixed' is no strptime"),
    ],
)
def test_one_problem_is_one_line(tmp_path: Path, change: tuple[str, str], problem: str) -> None:
    found = problems(tmp_path, GOOD.replace(*change))
    assert any(line.startswith(problem) for line in found) and all(len(line) < 700 for line in found)


@pytest.mark.parametrize("name", ["m", "Größe_1-a", "温度", "_x"])
def test_a_name_has_letters_of_any_language(tmp_path: Path, name: str) -> None:
    assert read_model_file(write(tmp_path, GOOD.replace('"m"', f'"{name}"'))).name == name


@pytest.mark.parametrize("deep", ["x = " + "[" * 100_000, ".".join("a" * 3_000) + " = 1"])
def test_tables_that_are_nested_without_end_are_a_problem(tmp_path: Path, deep: str) -> None:
    assert len(problems(tmp_path, f"{deep}\n{GOOD}")) == 1


def test_a_gate_of_another_task_is_no_gate(tmp_path: Path) -> None:
    text = GOOD.replace('column = "y"', 'column = "y"\nkind = "regression"') + "[gates]\naccuracy = { min = 0.5 }\n"
    assert problems(tmp_path, text) == [
        "gates.accuracy: no such gate for a regression target; known are rmse, mae, r2, latency_p99_ms, size_mb"
    ]


def test_files_that_are_no_model_files_get_one_line(tmp_path: Path) -> None:
    cases = {
        tmp_path / "none.toml": "no such model file; `perennial new",
        tmp_path: "a folder, not a model file",
        write(tmp_path, "name = ", "broken.toml"): "not valid TOML",
    }
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe\x00")
    for path, message in {**cases, binary: "not a text file"}.items():
        with pytest.raises(InputError, match=message) as caught:
            read_model_file(path)
        assert str(caught.value).startswith(f"{path}: ")


def test_two_models_of_one_name_are_told_apart(tmp_path: Path) -> None:
    one, two = write(tmp_path, GOOD, "a.toml"), write(tmp_path, GOOD, "b.toml")
    other, bad = write(tmp_path, GOOD.replace('"m"', '"n"'), "c.toml"), write(tmp_path, "x = 1", "d.toml")
    assert [model_file.name for model_file in read_model_files([one, other])] == ["m", "n"]
    with pytest.raises(InputError) as caught:
        read_model_files([one, bad, two])
    assert caught.value.problems[-1] == f"{two}: the name 'm' is taken by {one}; rename one of the two"
    assert any(str(bad) in problem for problem in caught.value.problems[:-1])


def test_names_of_any_letters_are_columns(tmp_path: Path) -> None:
    names = ['a "b"', "c [d]", " e ", "größe 温度", "f.g", "h'i"]
    lines = "\n".join(f'"{name.replace(chr(34), chr(92) + chr(34))}" = "number"' for name in names)
    assert list(read_model_file(write(tmp_path, GOOD.replace('x = "number"', lines))).columns) == [*names, "c"]


def test_uris_and_absolute_paths_stay_and_relative_ones_start_at_the_model_file(tmp_path: Path) -> None:
    given = {"s3://b/k": "s3://b/k", "/abs/x.csv": "/abs/x.csv", "../x.csv": str(tmp_path.parent / "x.csv")}
    for uri, expected in given.items():
        assert read_model_file(write(tmp_path, GOOD.replace("data/*.csv", uri))).sources[0].uri == expected


def test_one_key_may_be_given_without_a_list_and_a_positive_class_without_quotes(tmp_path: Path) -> None:
    text = GOOD.replace('column = "y"', 'column = "y"\npositive = 1') + '[split]\nkey = "id"\n'
    model_file = read_model_file(write(tmp_path, text))
    assert (model_file.split.key, model_file.target.positive) == (("id",), "1")
    assert read_model_file(write(tmp_path, text.replace("= 1", "= true"))).target.positive == "true"
    for spelling, positive in {"1.0": "1", '"1.0"': "1", '"True"': "true", '"yes"': "yes", "2.5": "2.5"}.items():
        assert read_model_file(write(tmp_path, text.replace("= 1", f"= {spelling}"))).target.positive == positive


def test_the_digest_is_about_meaning_not_spelling(tmp_path: Path) -> None:
    digest = read_model_file(write(tmp_path, GOOD)).digest()
    assert read_model_file(write(tmp_path, "# a comment\n" + GOOD + "[data]\nmax_rejects = 0.05\n")).digest() == digest
    assert read_model_file(write(tmp_path, GOOD.replace('x = "number"', 'x = "boolean"'))).digest() != digest


def test_the_schedule_changes_nothing_that_is_trained(tmp_path: Path) -> None:
    nightly = GOOD + "[schedule]\nretrain = '0 3 * * MON-FRI'\ntimezone = 'Europe/Berlin'\n"
    model_file = read_model_file(write(tmp_path, nightly))
    assert (model_file.schedule.retrain, model_file.schedule.timezone) == ("0 3 * * MON-FRI", "Europe/Berlin")
    assert model_file.digest() == read_model_file(write(tmp_path, GOOD)).digest()


def test_what_is_monitored_is_placed_and_changes_nothing_that_is_trained_but_the_limits_do(tmp_path: Path) -> None:
    digest = read_model_file(write(tmp_path, GOOD)).digest()
    watched = read_model_file(write(tmp_path, GOOD + "[monitor]\ninput = 'plant/*.csv'\nretrain = false\n"))
    assert (watched.monitor.input, watched.digest()) == ((f"{tmp_path}/plant/*.csv",), digest)
    assert read_model_file(write(tmp_path, GOOD + "[monitor]\nbreaches = 3\n")).digest() != digest


def test_columns_besides_features_may_be_sensitive(tmp_path: Path) -> None:
    assert read_model_file(write(tmp_path, GOOD + "[data]\nsensitive = ['id']\n")).sensitive == {"c", "id"}


def test_a_model_file_survives_json() -> None:
    raw = {
        "name": "m",
        "sources": [{"uri": "a"}],
        "target": {"column": "y"},
        "columns": {"x": {"kind": "number", "min": 1}},
    }
    model_file = ModelFile.model_validate(raw)
    assert ModelFile.model_validate(model_file.model_dump(mode="json")) == model_file
    assert ModelFile.model_validate({**raw, "columns": model_file.columns}) == model_file


VALUE = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=4)),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(st.text(max_size=4), inner, max_size=2)),
    max_leaves=5,
)
SECTION = st.sampled_from(["name", "sources", "target", "columns", "data", "split", "gates", "training"])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(SECTION, VALUE, max_size=8))
@example({"sources": [{"\x1e\r": None}]})
def test_nonsense_is_described_never_a_crash(raw: dict[str, object]) -> None:
    from models.modelfile import _problems

    assert all(isinstance(line, str) and line for line in _problems(raw))


def test_names_that_look_the_same_are_told_apart() -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    assert (
        near_match(composed, [apart]) == f"; did you mean {apart!r}, whose accents are written with other characters?"
    )
    assert near_match("cafe", [composed]) == f"; did you mean {composed!r}?"


SHIFTED = GOOD + 'w = "text"\np = "image"\n[gates]\n'


def test_gates_may_ask_for_a_metric_under_a_shift_of_the_columns(tmp_path: Path) -> None:
    gates = "accuracy_under_blur = { min = 0.5 }\nf1_macro_under_typing_errors = { min = 0.5 }\n"
    assert set(read_model_file(write(tmp_path, SHIFTED + gates)).gates) == {
        "accuracy_under_blur",
        "f1_macro_under_typing_errors",
    }


@pytest.mark.parametrize(
    ("gate", "problem"),
    [
        ("accuracy_under_blurr", "no column can be put under 'blurr'; did you mean 'blur'?"),
        ("accuracy_under_background_noise", "no column can be put under 'background_noise'; "),
        ("accuracy_under_", "no column can be put under ''"),
        ("acuracy_under_blur", "no such gate; did you mean 'accuracy'?"),
        ("latency_p99_ms_under_blur", "no such gate"),
        ("_under_blur", "no such gate"),
    ],
)
def test_a_gate_under_an_unknown_shift_or_metric_is_a_problem(tmp_path: Path, gate: str, problem: str) -> None:
    """The shift of a kind that no column has is unknown too."""
    (found,) = problems(tmp_path, f"{SHIFTED}{gate} = {{ min = 0.5 }}\n")
    assert found.startswith(f"gates.{gate}: {problem}")


def test_a_gate_under_a_shift_of_another_task_is_no_gate(tmp_path: Path) -> None:
    text = SHIFTED.replace('column = "y"', 'column = "y"\nkind = "regression"')
    (found,) = problems(tmp_path, f"{text}accuracy_under_blur = {{ min = 0.5 }}\n")
    assert found.startswith("gates.accuracy_under_blur: no such gate for a regression target")


@pytest.mark.parametrize("key", ["beats_champion = true", 'slices = ["c"]'])
def test_a_gate_under_a_shift_takes_limits_only(tmp_path: Path, key: str) -> None:
    (found,) = problems(tmp_path, f"{SHIFTED}accuracy_under_blur = {{ min = 0.5, {key} }}\n")
    assert found == f"gates.accuracy_under_blur.{key.split()[0]}: this gate takes min and max only; remove it"


def test_what_a_model_may_cost_to_run_is_no_part_of_what_it_becomes(tmp_path: Path) -> None:
    plain = read_model_file(write(tmp_path, GOOD))
    limited = read_model_file(write(tmp_path, GOOD + "[hardware]\nmax_latency_p99_ms = 5\nmax_accuracy_loss = 0.02\n"))
    assert (limited.hardware.max_latency_p99_ms, limited.hardware.max_accuracy_loss) == (5, 0.02)
    assert limited.digest() == plain.digest()


def test_limits_on_hardware_that_make_no_sense_are_told(tmp_path: Path) -> None:
    found = problems(tmp_path, GOOD + "[hardware]\nmax_memory_mb = 0\nmax_accuracy_loss = 1\nmax_latency_ms = 5\n")
    assert len(found) == 3
    assert "hardware.max_latency_ms: unknown key; did you mean 'max_latency_p99_ms'?" in found
