"""From sources to a checked, immutable snapshot, split for training and judging."""
