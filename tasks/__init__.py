"""What is done: one package per capability, plain typed functions, with their Prefect tasks in each `steps.py`."""
