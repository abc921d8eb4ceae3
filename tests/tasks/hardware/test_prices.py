"""What a million predictions cost, and files of prices that make no sense."""

from pathlib import Path

import pytest

from models.errors import InputError
from tasks.hardware.asked import PRICES
from tasks.hardware.prices import Price, price_of, read_prices, show_cost

GOOD = (
    'currency = "EUR"\nkwh = 0.4\ndefault = "a"\n[machines.a]\nhourly = 0.36\nwatts = 100\n[machines.b]\nhourly = 1\n'
)


def write(folder: Path, text: str) -> Path:
    path = folder / "prices.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_cost_is_rent_and_electricity_of_the_time_that_it_takes(tmp_path: Path) -> None:
    price = price_of(write(tmp_path, GOOD), None)
    assert price == Price(machine="a", currency="EUR", hourly=0.36, watts=100.0, kwh=0.4)
    # 100 W are 0.1 kWh an hour, 0.04 EUR: 0.40 EUR an hour. 1,000 rows/s are 3.6 million an hour.
    assert price.per_hour == pytest.approx(0.40)
    assert price.per_million(1000) == pytest.approx(0.40 / 3.6)
    assert price.per_million(2000) == pytest.approx(0.40 / 7.2)


def test_a_machine_is_named_and_needs_no_electricity(tmp_path: Path) -> None:
    price = price_of(write(tmp_path, GOOD), "b")
    assert price is not None
    assert (price.machine, price.per_hour) == ("b", 1.0)
    assert price_of(write(tmp_path, GOOD.replace('default = "a"\n', "")), None) is None


def test_the_shipped_file_is_read() -> None:
    prices = read_prices(PRICES)
    assert prices.default in prices.machines
    assert "example" in PRICES.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("currency = ", "not valid TOML"),
        (GOOD.replace("hourly = 0.36", "hourly = -1"), "machines.a.hourly: input should be greater than or equal to 0"),
        (GOOD.replace("hourly = 0.36", 'hourly = "much"'), "machines.a.hourly"),
        (GOOD.replace("hourly = 0.36", "hourly = inf"), "machines.a.hourly"),
        (GOOD.replace("watts", "wats"), "wats: unknown key"),
        (GOOD.replace('default = "a"', 'default = "c"'), "default: no such machine"),
        ('currency = "EUR"\n[machines]\n', "machines: "),
        ("[machines.a]\nhourly = 1\n", "currency: missing"),
        ("", "missing"),
    ],
)
def test_a_bad_file_is_told_in_plain_lines(tmp_path: Path, text: str, words: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(InputError) as caught:
        price_of(path, None)
    assert all(problem.startswith(f"{path}: ") and "\n" not in problem for problem in caught.value.problems)
    assert any(words in problem for problem in caught.value.problems)


def test_files_and_machines_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such prices file"):
        price_of(tmp_path / "none.toml", None)
    with pytest.raises(InputError, match="can't be read"):
        price_of(tmp_path, None)
    with pytest.raises(InputError, match="no machine 'aa'; did you mean 'a'"):
        price_of(write(tmp_path, GOOD.replace("machines.b", "machines.zebra")), "aa")


@pytest.mark.parametrize(
    ("cost", "shown"),
    [(None, "–"), (0.0, "0"), (0.0000961, "0.0000961"), (0.025, "0.0250"), (1.5, "1.50"), (12345.6, "12,346")],
)
def test_little_money_is_written_out(cost: float | None, shown: str) -> None:
    assert show_cost(cost) == shown
