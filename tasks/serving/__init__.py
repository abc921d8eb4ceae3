"""Answers at once, to callers in this process and over REST: without torch and Prefect, MLflow only to load by name."""
