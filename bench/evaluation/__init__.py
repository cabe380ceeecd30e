"""Samples and an adapter → a run on disk; suites and studies of them."""
