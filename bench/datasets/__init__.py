"""Data sets: a specification in YAML, and a loader a layout."""
