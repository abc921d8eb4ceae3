"""Models that were made elsewhere: read, checked and explained, and wrapped so that they take raw columns."""
