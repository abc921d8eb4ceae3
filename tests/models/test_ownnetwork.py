"""A user's own network is trained and exported like the default one; what is wrong with it is told by its line."""

import hashlib
import shutil
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
import pytest
import torch

from models.errors import InputError
from models.modelfile import ModelFile, read_model_file
from models.network import SingleMember
from models.ownnetwork import own_encoder, own_text_encoder, own_trunk
from tasks.scoring.batch import Stamp
from tasks.scoring.predictor import Predictor
from tasks.scoring.score import score_files
from tasks.training.fit import load_weights
from tests.packages import export_quickly
from tests.small import table, write_model

TRUNK = """
import torch
from torch import nn


class Trunk(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features, 5), nn.Tanh(), nn.Linear(5, out_features))

    def forward(self, x):
        return self.layers(x)
"""
ENCODER = """
import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self, ids, out_features):
        super().__init__()
        self.lookup = nn.Embedding(ids, out_features, padding_idx=0)

    def forward(self, tokens):
        return self.lookup(tokens).sum(dim=1)
"""
ORDERED = """
import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self, ids, out_features):
        super().__init__()
        self.lookup = nn.Embedding(ids, 8, padding_idx=0)
        self.conv = nn.Conv1d(8, out_features, 3, padding=1)

    def forward(self, tokens):
        found = torch.tanh(self.conv(self.lookup(tokens).transpose(1, 2)))
        place = torch.arange(tokens.shape[1]) + 1.0
        return (found * (tokens > 0).unsqueeze(1) * (0.1 * place).cos()).sum(dim=2)
"""
RECURRENT = """
import torch
from torch import nn


class Encoder(nn.Module):
    def __init__(self, ids, out_features):
        super().__init__()
        self.lookup = nn.Embedding(ids, 8)
        self.gru = nn.GRU(8, out_features, batch_first=True)

    def forward(self, tokens):
        found, _ = self.gru(self.lookup(tokens))
        last = (tokens > 0).sum(dim=1, keepdim=True).clamp(min=1) - 1
        return found.gather(1, last.unsqueeze(2).expand(-1, -1, found.shape[2])).squeeze(1)
"""
PIXELS = """
from torch import nn


class Encoder(nn.Module):
    def __init__(self, shape, out_features):
        super().__init__()
        self.shape = shape
        self.layer = nn.Linear(shape[-1], out_features)

    def forward(self, pixels):
        return self.layer(pixels.float()).mean(dim=(1, 2))
"""
QUICK = "[network]\nwidth = 6\nembedding = 4\nfile = 'own.py'\n[training]\nepochs = 1\nbatch_size = 64\n"


def written(folder: Path, code: str, name: str = "own.py") -> tuple[Path, str]:
    path = folder / name
    path.write_text(code, encoding="utf-8")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def trunk_problem(folder: Path, code: str) -> str:
    path, sha256 = written(folder, code)
    with pytest.raises(InputError) as caught:
        own_trunk(path, sha256, 7, 4)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: ") and "\n" not in problem
    return problem.removeprefix(f"{path}: ")


def model_file(folder: Path, code: str = TRUNK, name: str = "own") -> Path:
    written(folder, code)
    return write_model(folder, name, table(200), quick=QUICK)


def test_the_trunk_is_that_of_the_file(tmp_path: Path) -> None:
    trunk = own_trunk(*written(tmp_path, TRUNK), 7, 4)
    assert [tuple(p.shape) for p in trunk.parameters()] == [(5, 7), (5,), (4, 5), (4,)]
    assert trunk(torch.zeros(2, 7)).shape == (2, 4)


def test_an_encoder_is_told_the_shape_of_a_row(tmp_path: Path) -> None:
    encoder = own_encoder(*written(tmp_path, PIXELS), torch.zeros((3, 5, 4, 3), dtype=torch.uint8), 4)
    assert encoder.shape == (5, 4, 3)


def test_an_encoder_of_texts_is_told_how_many_ids_there_are(tmp_path: Path) -> None:
    encoder = own_text_encoder(*written(tmp_path, ENCODER), 50, 4)
    assert [tuple(p.shape) for p in encoder.parameters()] == [(50, 4)]


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("(ids,", "(ids - 1,", "fails on [3, 6]: IndexError: index out of range"),
        ("(tokens)", "(tokens + 1)", "fails on [3, 6]: IndexError: index out of range"),
        (".sum(dim=1)", ".mean(dim=1)", "gives a row other values with more or fewer zeros behind it; it must not"),
        (".sum(dim=1)", ".unfold(1, 3, 1).sum(dim=(1, 3))", "fails on [1, 2]: RuntimeError: "),
        ("(tokens)", "(tokens.long() if tokens.dtype == torch.int64 else None)", "fails on [3, 6]: TypeError: "),
    ],
)
def test_a_text_encoder_is_tried_on_the_ids_that_training_gives(
    tmp_path: Path, old: str, new: str, problem: str
) -> None:
    path, sha256 = written(tmp_path, ENCODER.replace(old, new))
    with pytest.raises(InputError) as caught:
        own_text_encoder(path, sha256, 50, 4)
    assert str(caught.value).startswith(f"{path}: {problem}")


def test_an_encoder_with_a_recurrent_layer_can_be_exported(tmp_path: Path) -> None:
    assert own_text_encoder(*written(tmp_path, RECURRENT), 2, 4)(torch.ones(2, 5, dtype=torch.int32)).shape == (2, 4)


@pytest.mark.parametrize(
    ("returned", "problem"),
    [
        ("self.layers(x) if x.sum() > 0 else -self.layers(x)", "can't be exported to ONNX: "),
        ("torch.linalg.qr(self.layers(x).unsqueeze(2))[0].squeeze(2)", "can't be exported to ONNX: "),
        ("self.layers(x.detach().clone().numpy() and x)", "fails on [3, 7]: ValueError: "),
        ("self.layers(x) - self.layers(x).mean(0)", "gives a row other values by itself than among others; "),
        ("self.layers(x + torch.rand(1))", "gives a row other values by itself than among others; "),
    ],
)
def test_what_can_not_be_exported_is_told_before_training(
    tmp_path: Path, returned: str, problem: str, capfd: pytest.CaptureFixture[str]
) -> None:
    assert trunk_problem(tmp_path, TRUNK.replace("self.layers(x)", returned)).startswith(problem)
    assert capfd.readouterr() == ("", "")


def test_the_trial_leaves_no_trace(tmp_path: Path) -> None:
    trunk = own_trunk(*written(tmp_path, TRUNK.replace("nn.Tanh()", "nn.BatchNorm1d(5)")), 7, 4)
    assert trunk.training
    assert trunk.layers[1].num_batches_tracked == 0


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    assert own_trunk(*written(tmp_path, TRUNK, "mine.txt"), 7, 4)(torch.zeros(2, 7)).shape == (2, 4)


def test_a_file_may_have_helpers_dataclasses_and_postponed_types(tmp_path: Path) -> None:
    code = "from __future__ import annotations\nfrom dataclasses import dataclass\n" + TRUNK.replace(
        "class Trunk", "@dataclass\nclass Sizes:\n    hidden: int = 5\n\n\nSIZES = Sizes()\n\n\nclass Trunk"
    ).replace("in_features, 5)", "in_features, SIZES.hidden)")
    assert own_trunk(*written(tmp_path, code), 7, 4)(torch.zeros(2, 7)).shape == (2, 4)


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("import torch\n\nx = = 1\n", "can't be loaded: SyntaxError: invalid syntax (line 3)"),
        ("\n\nraise ValueError('not yet\\nready')\n", "can't be loaded: ValueError: not yet (line 3)"),
        ("import nonsense_that_is_not_there\n", "can't be loaded: ModuleNotFoundError: No module named"),
        ("import sys\nsys.exit(0)\n", "can't be loaded: SystemExit: 0 (line 2)"),
        ("x = '\udcff'\n".encode("utf-8", "surrogateescape").decode("latin-1"), "defines no class Trunk"),
        ("", "defines no class Trunk"),
        (TRUNK.replace("Trunk", "Stem"), "defines no class Trunk"),
        ("class Trunk:\n    def __init__(self, a, b): ...\n", "Trunk is no torch.nn.Module"),
        ("Trunk = 3\n", "Trunk can't be made: TypeError: 'int' object is not callable"),
        (TRUNK.replace("(self, in_features, out_features)", "(self)"), "Trunk can't be made: TypeError: "),
        (TRUNK.replace("nn.Tanh()", "nn.Tanhh()"), "Trunk can't be made: AttributeError: module 'torch.nn' has no"),
        (TRUNK.replace("nn.Tanh()", "torch.nn.utils.weight_norm(nn.Linear(5, 5))"), "can't be copied: RuntimeError: "),
        (TRUNK.replace("self.layers(x)", "self.layers(x.T)"), "fails on [3, 7]: RuntimeError: "),
        (TRUNK.replace("self.layers(x)", "x"), "returns [3, 7] for 3 rows; it should be [N, 4]"),
        (TRUNK.replace("self.layers(x)", "self.layers(x).mean()"), "returns [] for 3 rows; it should be [N, 4]"),
        (TRUNK.replace("self.layers(x)", "self.layers(x).double()"), "returns float64; it should be float32"),
        (TRUNK.replace("self.layers(x)", "self.layers(x).long()"), "returns int64; it should be float32"),
        (TRUNK.replace("self.layers(x)", "self.layers(x).half()"), "returns float16; it should be float32"),
        (TRUNK.replace("self.layers(x)", "self.layers(x) / 0"), "returns values that are not finite"),
        (TRUNK.replace("self.layers(x)", "self.layers(x) * float('nan')"), "returns values that are not finite"),
        (TRUNK.replace("return self.layers(x)", "return None"), "fails on [3, 7]: AttributeError: "),
        (TRUNK.replace("return self.layers(x)", "exit(1)"), "fails on [3, 7]: SystemExit: 1"),
    ],
    ids=lambda value: value[:30] if value[:1].islower() else "",
)
def test_what_is_wrong_is_one_plain_line(tmp_path: Path, code: str, problem: str) -> None:
    assert trunk_problem(tmp_path, code).startswith(problem)


@pytest.mark.parametrize(("old", "line"), [("nn.Tanh()", 9), ("self.layers(x)", 12)])
def test_the_line_is_the_files_own(tmp_path: Path, old: str, line: int) -> None:
    """Not that of torch, where the exception comes from."""
    code = TRUNK.replace(old, "torch.zeros(2).reshape(3)")
    assert trunk_problem(tmp_path, code).endswith(f"(line {line})")


def test_a_file_that_is_gone_or_has_changed_is_not_run(tmp_path: Path) -> None:
    path, sha256 = written(tmp_path, TRUNK)
    path.write_text(f"raise SystemExit\n{TRUNK}")
    with pytest.raises(InputError, match=r"own\.py: changed since the model file was read; start again"):
        own_trunk(path, sha256, 7, 4)
    path.unlink()
    with pytest.raises(InputError, match=r"own\.py: can't be read \(No such file or directory\)"):
        own_trunk(path, sha256, 7, 4)


def test_the_model_file_notes_what_its_python_files_hold(tmp_path: Path) -> None:
    read = read_model_file(model_file(tmp_path))
    path = tmp_path / "own.py"
    assert read.network.file == str(path)
    assert read.own_code == {str(path): hashlib.sha256(path.read_bytes()).hexdigest()}


def test_another_network_is_another_model(tmp_path: Path) -> None:
    file = model_file(tmp_path)
    first, again = read_model_file(file).digest(), read_model_file(file).digest()
    written(tmp_path, TRUNK.replace("5", "6"))
    assert first == again != read_model_file(file).digest()


def test_files_that_are_not_there_are_told_at_once(tmp_path: Path) -> None:
    columns = '[columns]\n"m" = { kind = "text", encoder = "enc.py" }\n'
    file = write_model(tmp_path, "own", table(5), columns=columns, quick=QUICK)
    (tmp_path / "enc.py").mkdir()
    with pytest.raises(InputError) as caught:
        read_model_file(file)
    assert caught.value.problems == (
        f"{file}: network.file: {tmp_path / 'own.py'} is no file",
        f"{file}: columns.'m'.encoder: {tmp_path / 'enc.py'} is no file",
    )


def test_an_empty_name_is_no_file(tmp_path: Path) -> None:
    columns = '[columns]\n"m" = { kind = "text", encoder = "" }\n'
    file = write_model(tmp_path, "own", table(5), columns=columns, quick=QUICK.replace("own.py", ""))
    with pytest.raises(InputError) as caught:
        read_model_file(file)
    places = [problem.removeprefix(f"{file}: ").split(": ")[0] for problem in caught.value.problems]
    assert sorted(places) == ["columns.'m'.encoder", "network.file"]


def test_digests_are_found_never_given(tmp_path: Path) -> None:
    file = model_file(tmp_path)
    file.write_text(f'own_code = {{ "own.py" = "0" }}\n{file.read_text()}')
    with pytest.raises(InputError, match="own_code: unknown key; remove it"):
        read_model_file(file)


def test_kinds_without_large_values_take_no_encoder(tmp_path: Path) -> None:
    written(tmp_path, ENCODER)
    file = write_model(
        tmp_path, "own", table(5), columns='[columns]\n"load" = { kind = "number", encoder = "own.py" }\n'
    )
    with pytest.raises(InputError, match=r"columns\.'load'\.encoder: unknown key"):
        read_model_file(file)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[ModelFile, Path]:
    """A model with a trunk and an encoder of its own; both files are deleted after the export."""
    folder = tmp_path_factory.mktemp("trained")
    written(folder, TRUNK)
    written(folder, ORDERED, "enc.py")
    frame = table(300)
    frame["words"] = np.where(frame["load"] > 5, "very hot now", "all is well")
    frame.loc[::3, "words"] = "now unheard of " + frame.loc[::3, "id"].astype(str) + " all is hot"
    columns = '[columns]\n"load" = "number"\n"words" = { kind = "text", encoder = "enc.py" }\n'
    read = read_model_file(write_model(folder, "own", frame, columns=columns, quick=QUICK))
    export_quickly(read, folder)
    for name in ("own.py", "enc.py"):
        shutil.move(folder / name, folder / f"{name}.away")
    return read, folder


def test_the_exported_graph_is_that_of_the_own_network(trained: tuple[ModelFile, Path]) -> None:
    """Parity on all test rows was shown by the export, with an encoder that depends on the order of the ids."""
    _, folder = trained
    graph = onnx.load(folder / "package" / "model.onnx").graph
    shapes = {tuple(weight.dims) for weight in graph.initializer}
    assert (6, 8, 3) in shapes, "the convolution of the own encoder"
    assert "Tanh" in {node.op_type for node in graph.node}, "the own trunk"


def test_scoring_needs_no_python_file(trained: tuple[ModelFile, Path], tmp_path: Path) -> None:
    _, folder = trained
    frame = pd.DataFrame({"load": [30.0, None], "words": ["very hot", None]})
    frame.to_csv(tmp_path / "in.csv", index=False)
    predictor = Predictor.load(folder / "package")
    done = score_files(predictor, [str(tmp_path / "in.csv")], tmp_path / "out", Stamp("own", "1", "r"))
    assert (done.scored, done.rejected) == (2, 0)


def test_weights_are_not_put_into_a_network_that_has_changed(trained: tuple[ModelFile, Path], tmp_path: Path) -> None:
    read, folder = trained
    shutil.copy(folder / "own.py.away", folder / "own.py")
    written(folder, ORDERED + "\n# changed\n", "enc.py")
    try:
        with pytest.raises(InputError, match=r"enc\.py: changed since the model file was read"):
            load_weights(folder / "job" / "t.pt", read)
        shutil.copy(folder / "enc.py.away", folder / "enc.py")
        network = load_weights(folder / "job" / "t.pt", read).calibrated().network
        assert isinstance(network.trunk, SingleMember)
        assert type(network.encoders["text_1"]).__name__ == "Encoder"
    finally:
        (folder / "own.py").unlink()
        (folder / "enc.py").unlink()
