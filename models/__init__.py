"""What a model is: its file, column kinds, network, calibration and contract. No Prefect, no MLflow, no I/O."""
