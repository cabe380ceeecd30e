"""Data sets, label spaces and label maps, checks."""
