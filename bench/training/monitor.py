"""Reports, best weights so far, and the final model folder of a training run."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.fusion.presets import FusionSpec
from bench.io.files import read_json, write_json
from bench.metrics.pq import PQTable
from bench.models.model_file import FusionOverrides
from bench.training.gradients import peak_mb
from bench.training.log import Log, OnStep, StepReport
from bench.training.state import TrainingState, checkpoint
from bench.training.validation import Validator, choose_fusion, evaluate, held_back_loss


@dataclass(frozen=True, eq=False)
class Monitor:
    """Validator, log and callback of a training run."""

    validator: Validator
    out: Path
    log: Log | None  # None on all processes but the first
    on_step: OnStep


@dataclass(frozen=True, eq=False)
class Measured:
    """PQ and loss terms on the held-back images."""

    table: PQTable
    terms: dict[str, float]


def report(run: TrainingState, losses: Sequence[dict[str, float]], monitor: Monitor, measured: Measured | None) -> None:
    """Pass a StepReport to the log and to `on_step`, from the main process only."""
    if monitor.log is None:
        return
    terms = {name: sum(one[name] for one in losses if name in one) / len(losses) for name in losses[-1]}
    groups = None if measured is None else measured.table.groups
    line = StepReport(
        run.step, run.done(), run.spent(), sum(terms.values()), run.optimizer.param_groups[0]["lr"],
        None if groups is None else groups.all.PQ, None if groups is None else groups.things.PQ,
        terms, peak_mb(run.accelerator.device), {} if measured is None else measured.terms,
    )  # fmt: skip
    monitor.log.add(line)
    monitor.on_step(line)


def update_best(run: TrainingState, monitor: Monitor) -> Measured | None:
    """Validate the averaged weights; move them to `best/` if no earlier PQ is higher. None if not the main process."""
    if monitor.log is None:
        return None
    candidate, best = monitor.out / "candidate", monitor.out / "best"
    monitor.validator.export(run.average, candidate)
    table = evaluate(monitor.validator, candidate)[0]
    # `>=`: of two equal PQs the later weights have learned longer.
    if (table.groups.all.PQ or 0.0) >= run.best:
        run.best = table.groups.all.PQ or 0.0
        shutil.rmtree(best, ignore_errors=True)
        candidate.replace(best)
    return Measured(table, held_back_loss(monitor.validator, run.average))


def finalize(run: TrainingState, monitor: Monitor) -> None:
    """Move the best weights to `out` with the fusion thresholds of the highest held-back PQ; delete the checkpoint."""
    best, out, validator = monitor.out / "best", monitor.out, monitor.validator
    fusion, table = choose_fusion(validator, best)
    chosen = {"fusion": asdict(fusion), "held_back": {"images": len(validator.samples), "PQ": table.groups.all.PQ}}
    write_json(out / "fusion.json", chosen, indent=2)
    note = read_json(best / "bench.json")
    note["fusion"] = {**note["fusion"], **thresholds(fusion)}
    write_json(best / "bench.json", note, indent=2)
    # The weights last: a folder that holds them counts as finished.
    for file in sorted(best.iterdir(), key=lambda file: file.name == "model.safetensors"):
        file.replace(out / file.name)
    for folder in (best, out / "candidate"):
        shutil.rmtree(folder, ignore_errors=True)
    checkpoint(out).unlink(missing_ok=True)


def thresholds(fusion: FusionSpec) -> dict[str, float]:
    """Return the values of a fusion for the fields of FusionOverrides, except the preset."""
    names = [name for name in FusionOverrides.__dataclass_fields__ if name != "preset"]
    return {name: getattr(fusion, name) for name in names}
