"""The page of a study, and the same as tables."""
