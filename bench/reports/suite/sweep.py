"""Report of a sweep: a row a run, curves over each swept key, and the settings chosen on one half of the images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.analysis.suite import Outcome, Suite
from bench.analysis.sweep import Sweep, SweepRow, sentences, sweep
from bench.reports.figures.curves import sweep_curves
from bench.reports.suite.report import SuiteReport, write_report
from bench.reports.tables import UNDEFINED, Table, ends, places, value


def sweep_report(suite: Suite, outcomes: Sequence[Outcome], folder: Path) -> SuiteReport | None:
    """Write the report into a folder; None, and no file, if no run is complete."""
    found = sweep(suite, outcomes)
    if found is None:
        return None
    about = f"{found.dataset}, {found.images} images, percent with 95 % intervals over images"
    tables = [rows_table(found), *([selections_table(found)] if found.selections else [])]
    made = SuiteReport(
        found.title, about, sentences(found), tables, [], found.notes, sweep_curves(found), [], found.to_json(), []
    )
    return write_report(made, outcomes, folder)


def rows_table(found: Sweep) -> Table:
    """Return PQ and, if measured, median latency and peak memory of each run."""
    digits = places(row.PQ for row in found.rows)
    timed = any(row.latency for row in found.rows)
    rows = tuple(
        (row.model, row.name, value(row.PQ, digits), ends(row.PQ, digits), *(_measured(row) if timed else ()))
        for row in found.rows
    )
    head = ("model", "settings", "PQ", "95 %", *(("ms an image", "95 % of the median", "peak MB") if timed else ()))
    return Table(f"{found.title}: {found.dataset}, {found.images} images, percent", head, rows)


def _measured(row: SweepRow) -> tuple[str, str, str]:
    latency, peak = row.latency, UNDEFINED if row.peak_bytes is None else f"{row.peak_bytes / 1e6:.0f}"
    if latency is None or latency.value is None or latency.low is None or latency.high is None:
        return UNDEFINED, UNDEFINED, peak
    return f"{1000 * latency.value:.1f}", f"{1000 * latency.low:.1f} to {1000 * latency.high:.1f}", peak


def selections_table(found: Sweep) -> Table:
    """Return the settings chosen on one half of the images with their PQ on both halves."""
    digits, of_gain = places(one.PQ for one in found.selections), places(one.gain for one in found.selections)
    rows = tuple(
        (one.model, one.chosen, f"{100 * one.PQ_chosen_on:.{digits}f}", value(one.PQ, digits), ends(one.PQ, digits),
         value(one.gain, of_gain, "+"), ends(one.gain, of_gain, "+"))
        for one in found.selections
    )  # fmt: skip
    head = ("model", "settings", "PQ where chosen", "PQ on the other half", "95 %", "gain there", "95 % of the gain")
    return Table("Chosen on one half of the images, scored on the other", head, rows)
