"""How good a graph is: its metrics, intervals, slices, importance and baselines on test rows, and the report."""
