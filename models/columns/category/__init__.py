"""Categories: one of a set of values, unseen and missing values included."""
