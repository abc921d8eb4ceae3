"""What a network does beyond its values is told too: what it leaves behind, and what it keeps without saving it."""

from contextlib import suppress
from pathlib import Path

import pytest
import torch

from models.errors import InputError
from models.ownnetwork import own_trunk
from tests.models.test_ownnetwork import TRUNK, written

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
