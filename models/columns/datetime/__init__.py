"""Dates and times: cyclic parts in a stated time zone, and age."""
