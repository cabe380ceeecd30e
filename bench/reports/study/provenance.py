"""Provenance table of a study, one row per seed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bench.analysis.contrasts import Arm
from bench.analysis.ranking import row_of
from bench.io.canonical_json import digest
from bench.reports.tables import UNDEFINED
from bench.reports.views.provenance import machine, packages
from bench.reports.views.training import training_log
from bench.results.run import Run


@dataclass(frozen=True)
class Origin:
    """Provenance of one seed, as texts: recipe digest, training steps and minutes, and the provenance of its run."""

    training: str
    seed: int
    recipe: str
    steps: str
    minutes: str
    commit: str
    weights: str
    device: str
    machine: str
    packages: str
    folder: str


def origins(scored: Sequence[Arm]) -> list[Origin]:
    return [_origin(arm.name, seed, run) for arm in scored for seed, run in zip(arm.seeds, arm.runs, strict=True)]


def _origin(name: str, seed: int, run: Run) -> Origin:
    model, about = run.meta.model, run.meta.provenance
    last = (list(training_log(model)) or [{}])[-1]
    minutes = f"{last['seconds'] / 60:.1f}" if isinstance(last.get("seconds"), int | float) else UNDEFINED
    return Origin(
        training=name,
        seed=seed,
        recipe=recipe_digest(Path(getattr(model, "source", None) or "")),
        steps=str(last.get("step", UNDEFINED)),
        minutes=minutes,
        commit=str(row_of(run)["commit"] or UNDEFINED),
        weights=(getattr(model, "weights", None) or UNDEFINED)[:12],
        device=str(run.meta.device),
        machine=machine(about) or UNDEFINED,
        packages=packages(about),
        folder=str(run.folder),
    )


def recipe_digest(folder: Path) -> str:
    """Return the first 12 hex digits of the digest of recipe.json beside the weights, or "–" if it is missing."""
    with suppress(OSError, ValueError):
        return digest(json.loads((folder / "recipe.json").read_text(encoding="utf-8")))[:12]
    return UNDEFINED
