"""Metrics: pure functions of the stored overlaps and confusions."""
