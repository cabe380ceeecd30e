"""Evaluation: samples and an adapter → a run on disk; suites and studies of runs."""
