"""Series: one channel of a window of rows, in the order of time."""
