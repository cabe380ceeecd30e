"""Checks of data sets."""

from bench.datasets.check.check import check_dataset, check_files
from bench.datasets.check.common import Walk

__all__ = ["Walk", "check_dataset", "check_files"]
