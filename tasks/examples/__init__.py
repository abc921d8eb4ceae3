"""Data of the shipped examples, made anew on any machine by seeded generators."""
