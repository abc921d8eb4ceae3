"""Messages to the chat of a mail-order shop, and what the shop knows about the orders behind them.

The messages were written for this example and are stored beside this module. Only the order's value, the customer's
tier and the days since the purchase are drawn here.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray

WRITTEN = Path(__file__).with_name("support_messages.csv")
WRITTEN_LIVE = Path(__file__).with_name("support_messages_live.csv")

MEDIAN_VALUE = {
    "refund": 75.0,
    "delivery": 45.0,
    "exchange": 55.0,
    "damaged": 110.0,
    "cancel": 95.0,
    "payment": 60.0,
    "question": 50.0,
    "feedback": 38.0,
}
"""Typical value of the order, in euros: people bother about a faulty fridge sooner than about a faulty spoon."""
VALUE_SPREAD = 0.9
"""Standard deviation of the logarithm of an order's value."""
TIERS = ("new", "regular", "gold")
TIER_SHARES = {
    "refund": (0.40, 0.45, 0.15),
    "delivery": (0.40, 0.42, 0.18),
    "exchange": (0.30, 0.50, 0.20),
    "damaged": (0.25, 0.52, 0.23),
    "cancel": (0.45, 0.43, 0.12),
    "payment": (0.50, 0.38, 0.12),
    "question": (0.58, 0.32, 0.10),
    "feedback": (0.18, 0.45, 0.37),
}
DAYS = {"today": (0, 0), "days": (1, 9), "weeks": (10, 60), "months": (61, 700), "never": (10, 700)}
"""First and last possible day by when the message lets one think that the purchase was made.

Who writes before a purchase ("never") may have bought something else earlier.
"""
ANY_DAY = (0, 700)
NO_ORDER = 0.65
"""Share of the customers asking before a purchase who have never ordered at all."""
OTHER_ORDER = 0.08
"""Share of the messages that are not about the newest order, which is the one that the shop looks up."""
GUEST = 0.07
"""Share of the customers who have not signed in, so that the tier is unknown."""
UNKNOWN_ORDER = 0.03
"""Share of the messages whose order is not found; among guests it is `UNKNOWN_ORDER_OF_GUEST`."""
UNKNOWN_ORDER_OF_GUEST = 0.5


def make(folder: Path, seed: int = 0) -> None:
    """Writes `messages.csv`, with the intents, and `live.csv`, without them; equal seeds give equal bytes.

    The messages are the same for each seed, and so is their split by `message_id`; the columns of the orders differ.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    known = ["message_id", "message", "order_value", "tier", "days_since_purchase"]
    messages = _with_orders(_read(WRITTEN), rng)
    messages["wants_refund"] = np.where(messages["intent"] == "refund", "yes", "no")
    _write(messages[[*known, "condition", "intent", "wants_refund"]], folder / "messages.csv")
    _write(_with_orders(_read(WRITTEN_LIVE), rng)[known], folder / "live.csv")


def _with_orders(written: pd.DataFrame, rng: Generator) -> pd.DataFrame:
    """The written messages with `order_value` in euros, `tier` and whole `days_since_purchase`, some missing."""
    guest = rng.random(len(written)) < GUEST
    unknown = rng.random(len(written)) < np.where(guest, UNKNOWN_ORDER_OF_GUEST, UNKNOWN_ORDER)
    unknown |= (written["purchased"] == "never").to_numpy() & (rng.random(len(written)) < NO_ORDER)
    return written.assign(
        order_value=pd.Series(_values(written["intent"], rng)).mask(unknown),
        tier=pd.Series(_tiers(written["intent"], rng)).mask(guest),
        days_since_purchase=pd.Series(_days(written["purchased"], rng), dtype="Int64").mask(unknown),
    )


def _values(intents: pd.Series, rng: Generator) -> NDArray[np.float64]:
    """An order's value for each intent, log-normal about the intent's median, in euros and cents, [N]."""
    medians = intents.map(MEDIAN_VALUE).to_numpy(dtype=np.float64)
    return np.round(medians * np.exp(VALUE_SPREAD * rng.standard_normal(len(intents))), 2)


def _tiers(intents: pd.Series, rng: Generator) -> list[str]:
    """A tier for each intent, drawn by the intent's shares, [N]."""
    ends = np.cumsum([TIER_SHARES[intent] for intent in intents], axis=1)
    chosen = (rng.random((len(intents), 1)) > ends[:, :-1]).sum(axis=1)
    return [TIERS[number] for number in chosen]


def _days(purchased: pd.Series, rng: Generator) -> NDArray[np.int64]:
    """Days since the newest purchase, [N]: as the message says, or at times any, since it is about an older order.

    They are uniform on a logarithmic scale, as the first days bring more messages than later ones.
    """
    first, last = np.array([DAYS[when] for when in purchased]).T
    other = rng.random(len(purchased)) < OTHER_ORDER
    first, last = np.where(other, ANY_DAY[0], first), np.where(other, ANY_DAY[1], last)
    spread = (last + 2) / (first + 1)
    days: NDArray[np.float64] = np.floor((first + 1) * spread ** rng.random(len(purchased)) - 1)
    return days.astype(np.int64)


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")


def _write(table: pd.DataFrame, path: Path) -> None:
    table.to_csv(path, index=False, lineterminator="\n", encoding="utf-8", float_format="%.2f")
