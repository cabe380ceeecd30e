"""Report of a study."""

from bench.reports.study.report import study_report

__all__ = ["study_report"]
