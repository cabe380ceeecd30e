"""Metrics: pure functions of stored overlaps and confusion matrices."""
