"""A version that waits for a person stands, whatever has changed since."""

from pathlib import Path
from typing import cast

from models.sections import Promotion
from tasks.data.snapshot import Ingested
from tasks.registry.approval import ASKED
from tasks.registry.connection import connect
from tasks.registry.promotion import is_settled
from tasks.registry.record import Origin
from tasks.registry.standing import find_standing
from tests.conftest import Copy

GROWN = Origin("other data", "same file", "same code", None)
UNREAD = cast(Ingested, None)


def test_a_version_that_waits_for_approval_is_skipped_for_when_data_grows(copy: Copy, home: Path) -> None:
    name = "standing-waits"
    asks = copy(name, promotion=Promotion(approval=True))
    assert find_standing(asks, UNREAD, GROWN, home) is None
    connect().set_model_version_tag(name, "1", ASKED, "now")
    copy(name)
    found = find_standing(asks, UNREAD, GROWN, home)
    assert found is not None and is_settled(found.version)
    assert (found.version.number, found.outcome, found.reasons) == ("1", "skipped", ["version 1 waits for approval"])
    assert find_standing(asks.model_copy(update={"promotion": Promotion()}), UNREAD, GROWN, home) is None
