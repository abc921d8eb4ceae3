"""What a network does beyond its values is told too: what it leaves behind, and what it keeps without saving it."""

from contextlib import suppress
from pathlib import Path

import pytest
import torch

from models.errors import InputError
from models.ownnetwork import own_encoder, own_trunk
from tests.models.test_ownnetwork import PIXELS, TRUNK, written

DOUBLE = "torch.set_default_dtype(torch.float64)"


@pytest.mark.parametrize(
    ("old", "new"), [("class Trunk", f"{DOUBLE}\n\n\nclass Trunk"), ("super()", f"{DOUBLE}; super()")]
)
def test_a_default_type_that_the_file_sets_is_not_that_of_others(tmp_path: Path, old: str, new: str) -> None:
    try:
        with suppress(InputError):
            own_trunk(*written(tmp_path, TRUNK.replace(old, new)), 7, 4)
        assert torch.get_default_dtype() == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


UNSAVED = "keeps state that is not saved; use register_buffer or nn.Parameter"
KEEPING = """
        if self.training:
            self.mean = x.float().mean(0).detach()
        return """


@pytest.mark.parametrize("start", ["self.mean = torch.zeros(1)", "self.mean = None", "pass"])
def test_state_that_is_not_saved_is_refused(tmp_path: Path, start: str) -> None:
    code = TRUNK.replace("super().__init__()", f"super().__init__(); {start}")
    code = code.replace("        return self.layers(x)", f"{KEEPING}self.layers(x - self.mean)")
    path, sha256 = written(tmp_path, code)
    with pytest.raises(InputError) as caught:
        own_trunk(path, sha256, 7, 4)
    assert caught.value.problems == (f"{path}: {UNSAVED}",)


def test_state_of_pictures_that_is_not_saved_is_refused(tmp_path: Path) -> None:
    """Pictures of the trial are not all alike, or their mean would be what it started with."""
    code = PIXELS.replace("super().__init__()", "super().__init__(); self.mean = 0.0")
    code = code.replace("        return self.layer(pixels.float())", f"{KEEPING}self.layer(pixels.float() - self.mean)")
    path, sha256 = written(tmp_path, code.replace("x.float()", "pixels.float()"))
    with pytest.raises(InputError, match=UNSAVED):
        own_encoder(path, sha256, torch.zeros((3, 5, 4, 3), dtype=torch.uint8), 4)


def test_a_buffer_that_is_made_while_training_can_not_be_loaded(tmp_path: Path) -> None:
    code = TRUNK.replace("        return", "        self.register_buffer('late', x[0])\n        return")
    path, sha256 = written(tmp_path, code)
    with pytest.raises(InputError) as caught:
        own_trunk(path, sha256, 7, 4)
    (problem,) = caught.value.problems
    assert problem.startswith(f"{path}: its saved state can't be loaded into a new network: ")
    assert "late" in problem
    assert "\n" not in problem


@pytest.mark.parametrize(
    ("old", "new", "returned"),
    [
        ("nn.Tanh()", "nn.BatchNorm1d(5)", "self.layers(x)"),
        ("nn.Tanh()", "nn.Dropout(0.5)", "self.layers(x)"),
        ("nn.Linear(in_features, 5)", "nn.LazyLinear(5)", "self.layers(x)"),
        ("super().__init__()", "super().__init__(); self.signs = torch.randn(7)", "self.layers(x * self.signs)"),
        ("class Trunk", "SIGNS = torch.randn(7)\n\n\nclass Trunk", "self.layers(x * SIGNS)"),
    ],
)
def test_what_is_saved_or_drawn_again_passes(tmp_path: Path, old: str, new: str, returned: str) -> None:
    """Numbers that a network draws when it is made are the same when it is loaded, by the seed of the training."""
    code = TRUNK.replace(old, new).replace("self.layers(x)", returned)
    assert own_trunk(*written(tmp_path, code), 7, 4).training


def test_a_buffer_that_is_set_while_training_passes(tmp_path: Path) -> None:
    code = TRUNK.replace("super().__init__()", "super().__init__(); self.register_buffer('mean', torch.zeros(7))")
    code = code.replace("        return self.layers(x)", f"{KEEPING}self.layers(x - self.mean)")
    assert own_trunk(*written(tmp_path, code), 7, 4).mean.equal(torch.zeros(7))


def test_the_second_network_draws_no_numbers_that_others_would_get(tmp_path: Path) -> None:
    """What is made afterwards has the weights that it has after one network and one run."""
    torch.manual_seed(3)
    own_trunk(*written(tmp_path, TRUNK.replace("nn.Tanh()", "nn.Dropout(0.5)")), 7, 4)
    after = torch.rand(1)
    torch.manual_seed(3)
    torch.nn.Sequential(torch.nn.Linear(7, 5), torch.nn.Dropout(0.5), torch.nn.Linear(5, 4))(torch.zeros(3, 7))
    assert after.equal(torch.rand(1))
