"""Measurements of ourselves that anyone can run: `make bench NAME=quality`, training, overhead, startup or scoring."""
