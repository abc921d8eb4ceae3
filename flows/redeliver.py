"""Dead letters are sent again."""

from prefect import flow

from flows.environment import state_folder
from tasks.actions.deliver import Delivered
from tasks.actions.steps import act
from tasks.scoring.outputs import manifest_of


@flow(name="redeliver", flow_run_name="redeliver {output}", timeout_seconds=24 * 3600)
def redeliver(output: str) -> list[Delivered]:
    """Sends what the actions of a scoring run could not deliver once more.

    Args:
        output: The output of the run: a file, folder or table.
    """
    return act(manifest_of(output)["run_id"], state_folder(), again=True)
