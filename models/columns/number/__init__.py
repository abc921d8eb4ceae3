"""Numbers: measured quantities, missing where the source had none."""
