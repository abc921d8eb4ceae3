import sys

import pytest

from models.errors import InputError
from tasks.training.engine import Engine, EngineName, choose_engine


@pytest.mark.parametrize(
    ("name", "workers", "address", "message"),
    [
        ("local", 2, None, "--workers 2 needs --engine ray"),
        ("local", 0, None, "--workers 0: give 1 or more"),
        ("ray", 0, None, "--workers 0: give 1 or more"),
        ("local", 1, "head:6379", "--address needs --engine ray"),
    ],
)
def test_words_that_do_not_fit_are_one_line(name: EngineName, workers: int, address: str | None, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}$"):
        choose_engine(name, workers, address)


def test_ray_is_asked_for_only_where_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert choose_engine("local", 1, None) == Engine()
    with pytest.raises(InputError, match="--engine ray needs Ray"):
        choose_engine("ray", 2, None)
