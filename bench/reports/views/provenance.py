"""Provenance table of a page, one column per run."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from bench.io.canonical_json import digest
from bench.reports.views.runs import RunView
from bench.results.line_digests import lines_digest
from bench.results.records import Provenance
from bench.results.run import Run

NONE = "–"


def provenance_rows(views: Sequence[RunView]) -> list[tuple[str, list[str]]]:
    """Return (name, one text per run) rows, without rows that are empty for all runs."""
    columns = [_facts(view) for view in views]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [(name, [column.get(name) or NONE for column in columns]) for name in names]
    return [row for row in rows if set(row[1]) != {NONE}]


def _facts(view: RunView) -> dict[str, str]:
    meta, done = view.run.meta, view.run.complete
    return {
        "Model": " / ".join(str(view.row[name]) for name in ("name", "checkpoint", "method") if view.row[name]),
        "Weights": getattr(meta.model, "weights", None) or "",
        "Predictions": getattr(meta.model, "predictions", ""),
        "Input (px)": str(view.row["input"] or ""),
        "Fusion": str(view.row["fusion"] or ""),
        "Device": " / ".join(str(view.row[name]) for name in ("device", "precision") if view.row[name]),
        "Threads": str(meta.threads or ""),
        "Data": f"{view.run.dataset}, {view.score.images} images, ids {meta.dataset.image_ids or NONE}",
        "Truth and rules": digest(done.key),
        "Protocol": f"{view.score.protocol}; departs from panopticapi: "
        + ("; ".join(view.score.reference_deviations) or "nowhere"),
        "Stored lines": stored_lines(view.run),
        "Commit": str(view.row["commit"] or ""),
        "Finished": done.finished,
        "Machine": machine(meta.provenance),
        "Packages": packages(meta.provenance),
        "Command": shlex.join(meta.command or ()),
        "Folder": str(view.run.folder),
    }


def stored_lines(run: Run) -> str:
    """Return whether the image lines still have the checksum in done.json, as text."""
    lines = list(run.lines())
    if not lines:
        return "not at hand"
    intact = lines_digest(lines) == run.complete.images_sha256
    return f"{len(lines)} images, {'intact' if intact else 'CHANGED since they were scored'}"


def machine(about: Provenance | None) -> str:
    return ", ".join(text for text in (about.processor, about.platform) if text) if about else ""


def packages(about: Provenance | None) -> str:
    named = {"panoptic-bench": about.bench, "Python": about.python, **about.packages} if about else {}
    return ", ".join(f"{name} {version}" for name, version in named.items() if version)
