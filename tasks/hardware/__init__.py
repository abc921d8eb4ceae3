"""What a version costs to run: measured over providers, precisions and settings on this machine."""
