"""Dead letters are sent again."""

from pathlib import Path

from prefect import flow

from flows.environment import state_folder
from tasks.actions.deliver import Delivered
from tasks.actions.steps import act
from tasks.scoring.verify import read_manifest


@flow(name="redeliver", flow_run_name="redeliver {output}", timeout_seconds=24 * 3600)
def redeliver(output: Path) -> list[Delivered]:
    """Sends what the actions of a scoring run could not deliver once more.

    Args:
        output: The output of the run.
    """
    return act(read_manifest(output)["run_id"], state_folder(), again=True)
