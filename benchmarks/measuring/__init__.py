"""What several measurements share: made-up tables, trained models, a Prefect server, the report."""
