"""Booleans: yes, no or missing."""
