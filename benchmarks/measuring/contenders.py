"""Registers a trained version again and again, so that several wait to be promoted, in the MLflow of the environment.

python -m benchmarks.measuring.contenders MODEL COUNT
"""

import sys
from pathlib import Path

from flows.environment import state_folder


def main(model: str, count: int) -> None:
    """Versions 2 to `count`, like version 1, each with a run of its own."""
    home = state_folder()
    # Loaded when the settings are in place.
    from models.packaged import read_model_settings
    from tasks.registry.runs import RunTitle, end_run, start_run
    from tasks.registry.versions import downloaded, find_version, register

    first = find_version(model, "1")
    with downloaded(first) as package:
        for number in range(2, count + 1):
            run_id = start_run(RunTitle(model, f"contender {number}", "train"), home)
            register(Path(package), read_model_settings(package), run_id, {}, "made for a measurement")
            end_run(run_id, "FINISHED")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
