"""How rows that come later differ from those that a version was trained on."""
