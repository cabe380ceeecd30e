"""Checks of data sets."""

from bench.datasets.check.check import check_dataset, check_files
from bench.datasets.check.common import CheckOptions

__all__ = ["CheckOptions", "check_dataset", "check_files"]
