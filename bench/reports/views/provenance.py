"""Provenance tables: of a report, one column per run; of a study, one row per seed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from bench.analysis.contrasts import Arm
from bench.analysis.ranking import row_of
from bench.io.canonical_json import digest
from bench.reports.tables import UNDEFINED, Table, ignored_line
from bench.reports.views.runs import RunView
from bench.reports.views.training import training_log
from bench.results.records import Provenance
from bench.results.run import Run


def provenance_rows(views: Sequence[RunView]) -> list[tuple[str, list[str]]]:
    """Return (name, one text per run) rows, without rows that are empty for all runs."""
    columns = [_facts(view) for view in views]
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [(name, [column.get(name) or UNDEFINED for column in columns]) for name in names]
    return [row for row in rows if set(row[1]) != {UNDEFINED}]


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
        "Data": f"{view.run.dataset}, {view.score.images} images, ids {meta.dataset.image_ids or UNDEFINED}",
        "Truth and rules": digest(done.key),
        "Protocol": f"{view.score.protocol}; differences from panopticapi: "
        + ("; ".join(view.score.reference_deviations) or "none"),
        "Ignored": ignored_line(view.score),
        "Stored lines": stored_lines(view.run),
        "Commit": str(view.row["commit"] or ""),
        "Finished": done.finished,
        "Machine": _machine(meta.provenance),
        "Packages": _packages(meta.provenance),
        "Command": shlex.join(meta.command or ()),
        "Folder": str(view.run.folder),
    }


def stored_lines(run: Run) -> str:
    """Return whether the image lines still have the checksum in done.json, as text."""
    columns, digest_of_lines = run.stored
    if not columns.image_ids:
        return "missing"
    intact = digest_of_lines == run.complete.images_sha256
    return f"{len(columns.image_ids)} images, {'intact' if intact else 'CHANGED since they were scored'}"


def seed_provenance(scored: Sequence[Arm]) -> Table:
    """Return one row per seed: recipe digest, training steps and minutes, and the provenance of its run."""
    columns = ("training", "seed", "recipe", "steps", "minutes", "weights", "commit", "device", "machine", "packages")
    rows = [_seed_row(arm.name, seed, run) for arm in scored for seed, run in zip(arm.seeds, arm.runs, strict=True)]
    return Table("Provenance", (*columns, "run"), tuple(rows))


def _seed_row(name: str, seed: int, run: Run) -> tuple[str, ...]:
    model = run.meta.model
    last = (list(training_log(model)) or [{}])[-1]
    return (
        name,
        str(seed),
        recipe_digest(Path(getattr(model, "source", None) or "")),
        str(last.get("step", UNDEFINED)),
        f"{last['seconds'] / 60:.1f}" if isinstance(last.get("seconds"), int | float) else UNDEFINED,
        (getattr(model, "weights", None) or UNDEFINED)[:12],
        str(row_of(run)["commit"] or UNDEFINED),
        str(run.meta.device),
        _machine(run.meta.provenance) or UNDEFINED,
        _packages(run.meta.provenance),
        str(run.folder),
    )


def recipe_digest(folder: Path) -> str:
    """Return the first 12 hex digits of the digest of recipe.json beside the weights, or "–" if it is missing."""
    # Weights from elsewhere have no recipe.json.
    with suppress(OSError, ValueError):
        return digest(json.loads((folder / "recipe.json").read_text(encoding="utf-8")))[:12]
    return UNDEFINED


def _machine(about: Provenance | None) -> str:
    return ", ".join(text for text in (about.processor, about.platform) if text) if about else ""


def _packages(about: Provenance | None) -> str:
    named = {"panoptic-bench": about.bench, "Python": about.python, **about.packages} if about else {}
    return ", ".join(f"{name} {version}" for name, version in named.items() if version)
