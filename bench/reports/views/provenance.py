"""Provenance table of a page, one column per run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from bench.io.canonical_json import digest
from bench.reports.views.runs import RunView
from bench.results.line_digests import lines_digest
from bench.results.run import Run

NONE = "–"


def provenance_rows(views: Sequence[RunView]) -> list[tuple[str, list[str]]]:
    """Return (name, one text per run) rows, without rows that are empty for all runs."""
    columns = [_facts(view) for view in views]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [(name, [column.get(name) or NONE for column in columns]) for name in names]
    return [row for row in rows if set(row[1]) != {NONE}]


def _facts(view: RunView) -> dict[str, str]:
    meta = view.run.meta
    about = meta.get("provenance") or {}
    return {
        "Model": " / ".join(str(view.row[name]) for name in ("name", "checkpoint", "method") if view.row[name]),
        "Weights": str(meta["model"].get("weights") or ""),
        "Predictions": str(meta["model"].get("predictions") or ""),
        "Input (px)": str(view.row["input"] or ""),
        "Fusion": str(view.row["fusion"] or ""),
        "Device": " / ".join(str(view.row[name]) for name in ("device", "precision") if view.row[name]),
        "Threads": str(meta.get("threads") or ""),
        "Data": f"{view.run.dataset}, {view.score['images']} images, ids {meta['dataset'].get('image_ids', NONE)}",
        "Truth and rules": digest((view.run.done or {}).get("key", {})),
        "Protocol": f"{view.score['protocol']}; departs from panopticapi: "
        + ("; ".join(view.score["reference_deviations"]) or "nowhere"),
        "Stored lines": stored_lines(view.run),
        "Commit": str(view.row["commit"] or ""),
        "Finished": str((view.run.done or {}).get("finished", "")),
        "Machine": ", ".join(str(about[name]) for name in ("processor", "platform") if about.get(name)),
        "Packages": _packages(about),
        "Command": shlex.join(meta.get("command") or []),
        "Folder": str(view.run.folder),
    }


def stored_lines(run: Run) -> str:
    """Return whether the image lines still have the checksum in done.json, as text."""
    lines = list(run.lines())
    if not lines:
        return "not at hand"
    intact = lines_digest(lines) == (run.done or {}).get("images_sha256")
    return f"{len(lines)} images, {'intact' if intact else 'CHANGED since they were scored'}"


def _packages(about: Mapping[str, Any]) -> str:
    named = {"panoptic-bench": about.get("bench"), "Python": about.get("python"), **(about.get("packages") or {})}
    return ", ".join(f"{name} {version}" for name, version in named.items() if version)
