"""Checks of data sets."""

from bench.datasets.check.check import check_dataset, check_files
from bench.datasets.check.common import CheckOptions
from bench.datasets.check.findings import CheckReport

__all__ = ["CheckOptions", "CheckReport", "check_dataset", "check_files"]
