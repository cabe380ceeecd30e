"""Reports of suites with corruptions and of sweeps."""

from bench.reports.suite.robustness import robustness_report
from bench.reports.suite.sweep import sweep_report

__all__ = ["robustness_report", "sweep_report"]
