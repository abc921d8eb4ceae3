"""[graph] of a model file: what may be said of a graph, and every problem of it in one plain line."""

import hashlib
import json
from pathlib import Path

import pytest

from flows.deploy import deployments_of
from models.errors import InputError
from models.graphsection import GraphInput
from models.modelfile import read_model_file, read_trainable

HEAD = """
name = "m"
[[sources]]
uri = "seen.csv"
split = "train"
[[sources]]
uri = "new.csv"
split = "test"
[target]
column = "y"
[columns]
a = "number"
b = "number"
c = "category"
p = { kind = "image", size = 32 }
t = "text"
[series]
window = 5
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "m.toml"
    path.write_text(text.replace("[series]\nwindow = 5\n", ""), encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    with pytest.raises(InputError) as caught:
        read_model_file(path)
    assert all("\n" not in problem for problem in caught.value.problems)
    return [problem.removeprefix(f"{path}: ") for problem in caught.value.problems]


def test_an_input_may_be_a_column_a_list_or_a_table(tmp_path: Path) -> None:
    text = HEAD + '[graph]\ninputs = { u = "a", v = ["a", "b"], w = { columns = "c", codes = { c = ["x", 1, true] } } }'
    graph = read_model_file(write(tmp_path, text)).graph
    assert graph is not None
    assert {name: given.columns for name, given in graph.inputs.items()} == {"u": ("a",), "v": ("a", "b"), "w": ("c",)}
    assert graph.inputs["w"].codes == {"c": ("x", "1", "true")}
    assert GraphInput(columns=("a",), mean=1, std=[2, 3]).std == (2, 3)  # type: ignore[arg-type]


def test_classes_are_read_as_those_of_a_target(tmp_path: Path) -> None:
    graph = read_model_file(write(tmp_path, HEAD + "[graph]\nclasses = [0, 1, true]")).graph
    assert graph is not None and graph.classes == ("0", "1", "true")


WRONG = {
    "[graph]\nprobabilites = 'p'": "graph.probabilites: unknown key; did you mean 'probabilities'?",
    "[graph]\nprobabilities = 'p'\nlogits = 'q'": "graph: probabilities and logits exclude each other; keep one",
    "[graph]\nvalue = 'p'\nclasses = ['u', 'v']": "graph: a value has neither label nor classes",
    "[graph]\nclasses = ['u', 'u']": "graph: classes: give each class once, at least two",
    "[graph.inputs.x]\nmissing = 0": "graph.inputs.x: give columns, or a constant",
    "[graph.inputs.x]\ncolumns = ['a']\nstd = [1, 0]": "graph.inputs.x.std: each must be above 0",
    "[graph.inputs.x]\ncolumns = ['A']": "graph.inputs.'x': [columns] has no 'A'; did you mean 'a'?",
    "[graph.inputs.x]\ncolumns = ['a', 'a']": "graph.inputs.'x': names a column twice",
    "[graph.inputs.x]\ncolumns = ['a', 't']": "graph.inputs.'x': joins texts ('t') and numbers; give a category codes",
    "[graph.inputs.x]\ncolumns = ['a', 'p']": "graph.inputs.'x': a column of pictures has an input of its own",
    "[graph.inputs.x]\ncolumns = ['a']\ncodes = { a = ['u'] }": "graph.inputs.'x'.codes: 'a' is a number",
    "[graph.inputs.x]\ncolumns = ['a']\ncodes = { c = ['u'] }": "graph.inputs.'x'.codes: 'c' is none of its columns",
    "[graph.inputs.x]\ncolumns = ['a']\nlayout = 'nchw'": "graph.inputs.'x'.layout: none of its columns is a picture",
    "[graph.inputs.x]\ncolumns = ['p']\nlayout = 'ntc'": "graph.inputs.'x'.layout: nhwc or nchw here",
    "[graph.inputs.x]\ncolumns = ['a']\nchannels = 'bgr'": "graph.inputs.'x'.channels: none of its columns",
    "[graph.inputs.x]\ncolumns = ['t']\nmissing = 0": "graph.inputs.'x'.missing: its columns are texts, and 0 is none",
    "[graph.inputs.x]\ncolumns = ['a']\nmissing = 'no'": "graph.inputs.'x'.missing: its columns are numbers",
    "[graph]\nunused = ['d']": "graph.unused: [columns] has no 'd'",
    "[graph]\nunused = ['a']\ninputs.x = 'a'": "graph.unused: 'a' feeds an input; remove it from one of the two",
    "[graph]\n[network]\nwidth = 8": "network: a model with [graph] is trained elsewhere; remove the section",
    "[graph]\n[training]\nepochs = 8\nseed = 1": "training.epochs: a model with [graph] is trained elsewhere",
    "[graph]\n[schedule]\nretrain = '0 3 * * *'": "schedule.retrain: a model with [graph] is trained elsewhere",
}


@pytest.mark.parametrize("text", WRONG)
def test_what_can_not_be_meant_is_told(tmp_path: Path, text: str) -> None:
    found = problems(tmp_path, HEAD + text)
    assert any(problem.startswith(WRONG[text]) for problem in found), found


def test_an_encoder_of_ones_own_is_no_use_to_a_graph(tmp_path: Path) -> None:
    text = HEAD.replace('t = "text"', 't = { kind = "text", encoder = "mine.py" }') + "[graph]\n"
    assert problems(tmp_path, text) == ["columns.'t'.encoder: a model with [graph] is trained elsewhere; remove it"]


@pytest.mark.parametrize(
    ("split", "said"),
    [("", False), ("[split]\nkey = 'a'", False), ("[split]\ncolumn = 'part'", True), ("[split]\ntime = 'd'", False)],
)
def test_it_has_to_be_said_which_rows_the_model_was_trained_on(tmp_path: Path, split: str, said: bool) -> None:
    text = HEAD.replace('split = "train"\n', "") + split + "\n"
    if said:
        assert read_model_file(write(tmp_path, text + "[graph]\n")).graph
    else:
        (problem,) = problems(tmp_path, text + "[graph]\n")
        assert problem.startswith("graph: nothing says which rows the model was trained on")
    assert read_model_file(write(tmp_path, text + "[graph]\nunseen = true")).graph


def test_a_file_without_the_section_means_what_it_meant_before_there_was_one(tmp_path: Path) -> None:
    """Otherwise every model would be trained again once."""
    path = tmp_path / "old.toml"
    path.write_text('name = "m"\n[[sources]]\nuri = "file:///d.csv"\n[target]\ncolumn = "y"\n[columns]\na = "number"\n')
    found = read_model_file(path)
    meaning = found.model_dump(
        mode="json",
        exclude={
            **dict.fromkeys(("schedule", "notify", "secrets", "graph", "hardware"), True),
            "monitor": {"input", "retrain"},
        },
    )
    assert not {"graph", "hardware"} & meaning.keys()
    assert found.digest() == hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()


def test_what_is_recorded_does_not_decide_what_the_version_is(tmp_path: Path) -> None:
    plain, compared = (
        read_model_file(write(tmp_path, HEAD + "[graph]\n" + more)) for more in ("", "recorded = 'r.csv'")
    )
    assert plain.digest() == compared.digest()
    assert compared.graph and compared.graph.recorded == str(tmp_path / "r.csv")
    other = read_model_file(write(tmp_path, HEAD + "[graph]\nmissing = 0"))
    assert other.digest() != plain.digest()


def test_it_is_neither_trained_nor_deployed_for_training(tmp_path: Path) -> None:
    path = write(tmp_path, HEAD + "[graph]\n")
    with pytest.raises(InputError, match=r"a model with \[graph\] is trained elsewhere"):
        read_trainable(path)
    flows = {deployment.flow for deployment in deployments_of(path, read_model_file(path))}
    assert flows == {"promote", "score", "monitor"}
