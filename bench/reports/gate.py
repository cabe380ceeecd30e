"""Results of the regression gate as table, Markdown summary and JUnit XML."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

from bench.analysis.gate import GateResult, MetricChange
from bench.reports.tables import UNDEFINED, Table, to_markdown_table


def moved_table(verdict: GateResult) -> Table:
    """Return the metrics that exceed their tolerance, largest change first, in percentage points."""
    columns = ("run", "metric", "before", "now", "moved", "tolerance")
    # A metric that became undefined has no difference and comes first.
    ordered = sorted(verdict.failed, key=lambda check: -abs(check.delta or float("inf")))
    return Table("Moved", columns, tuple(_row(check) for check in ordered))


def _row(check: MetricChange) -> tuple[str, ...]:
    moved = UNDEFINED if check.delta is None else f"{check.delta:+.3f}"
    return (check.run, check.metric, _points(check.baseline), _points(check.current), moved, f"{check.tolerance:g}")


def _points(value: float | None) -> str:
    return UNDEFINED if value is None else f"{value:.3f}"


def headline_table(verdict: GateResult) -> Table:
    """Return baseline and current PQ and mIoU of every run, and its time in seconds."""
    columns = (
        "run",
        "PQ baseline",
        "PQ now",
        "mIoU panoptic baseline",
        "mIoU panoptic now",
        "checks",
        "failed",
        "seconds",
    )
    return Table("Runs", columns, tuple(_headline(verdict, run) for run in verdict.seconds))


def _headline(verdict: GateResult, run: str) -> tuple[str, ...]:
    mine = [check for check in verdict.checks if check.run == run]
    by_metric = {check.metric: check for check in mine}
    shown = [by_metric["PQ all"], by_metric["mIoU panoptic"]]
    numbers = [text for check in shown for text in (_points(check.baseline), _points(check.current))]
    failed = sum(not check.passed for check in mine)
    return (run, *numbers, str(len(mine)), str(failed), f"{verdict.seconds[run]:.1f}")


def to_markdown(verdict: GateResult) -> str:
    count, bad = len(verdict.checks), len(verdict.failed)
    said = f"{bad} of {count} metrics moved beyond tolerance" if bad else f"all {count} metrics within tolerance"
    parts = [f"### panoptic-bench: {said}", to_markdown_table(headline_table(verdict))]
    if bad:
        parts.append(to_markdown_table(moved_table(verdict), ("run", "metric")))
    return "\n\n".join(part.rstrip("\n") for part in parts) + "\n"


def write_junit(verdict: GateResult, path: Path) -> None:
    """Write JUnit XML with a test suite per run and a test case per metric."""
    # The layout that Jenkins, GitLab and the actions of GitHub read: testsuites, testsuite, testcase, failure.
    root = ElementTree.Element("testsuites", name="panoptic-bench")
    for run, spent in verdict.seconds.items():
        mine = [check for check in verdict.checks if check.run == run]
        bad = sum(not check.passed for check in mine)
        suite = ElementTree.SubElement(
            root, "testsuite", name=run, tests=str(len(mine)), failures=str(bad), time=f"{spent:.3f}"
        )
        for check in mine:
            _case(suite, check)
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _case(suite: ElementTree.Element, check: MetricChange) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=check.run, name=check.metric)
    if not check.passed:
        said = f"{_points(check.baseline)} -> {_points(check.current)}, tolerance {check.tolerance:g} points"
        ElementTree.SubElement(case, "failure", message=said)
