"""Runs, versions, gates and promotion in MLflow."""
