"""Registers an exported model as champion, in the MLflow that the environment names.

python -m benchmarks.measuring.registered PACKAGE LEARNT
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.measuring.tables import TARGET
from benchmarks.measuring.trained import new_model_file
from flows.environment import state_folder
from models.contract import read_contract
from models.modelfile import read_model_file


def main(package: Path, learnt: Path) -> None:
    """Makes the version without a training, a contest and Prefect."""
    home, name = state_folder(), read_contract(package).name
    # Loaded when the settings are in place.
    from tasks.registry.connection import connect
    from tasks.registry.runs import RunTitle, end_run, start_run
    from tasks.registry.versions import CHAMPION, register

    with tempfile.TemporaryDirectory() as scratch:
        model_file = read_model_file(new_model_file([learnt], TARGET, name, Path(scratch)))
    run_id = start_run(RunTitle(name, "made for a measurement", "train"), home)
    version = register(package, model_file, run_id, {}, "made for a measurement")
    end_run(run_id, "FINISHED")
    connect().set_registered_model_alias(name, CHAMPION, version.number)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
