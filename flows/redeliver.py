"""Dead letters are sent again."""

from prefect import flow

from flows.environment import state_folder
from tasks.actions.deliver import Delivered
from tasks.actions.steps import act, sweep
from tasks.scoring.outputs import is_unfinished, manifest_of


@flow(name="redeliver", flow_run_name="redeliver {output}", timeout_seconds=24 * 3600)
def redeliver(output: str) -> list[Delivered]:
    """Sends what the actions of a scoring run could not deliver once more.

    Args:
        output: The output of the run: a file, folder or table.
    """
    run_id, home = manifest_of(output)["run_id"], state_folder()
    found = act(run_id, home, again=True)
    if not is_unfinished(output, run_id):
        sweep(run_id, home, found)
    return found
