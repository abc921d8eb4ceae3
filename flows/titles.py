"""How runs are called in Prefect's lists."""

from pathlib import Path

from prefect.runtime import flow_run


def of_model_file() -> str:
    """Of a flow with the parameter `model_file`, such as "train churn": paths are long, and the same in each run."""
    return f"{flow_run.flow_name} {Path(str(flow_run.parameters['model_file'])).stem}"
