"""Figures drawn with matplotlib."""

from bench.reports.figures.class_histogram import class_histogram

__all__ = ["class_histogram"]
