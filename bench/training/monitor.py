"""What is made of a run while it goes: reports, the best weights so far, and at the end the folder handed over."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.fusion.presets import FusionSpec
from bench.metrics.pq import PQTable
from bench.models.model_file import FusionOverrides
from bench.training.gradients import peak_mb
from bench.training.log import Log, OnStep, StepReport
from bench.training.state import TrainingState, checkpoint
from bench.training.validation import Validator, choose_fusion, evaluate, held_back_loss


@dataclass(frozen=True, eq=False)
class Monitor:
    """Who is told how the run goes, and who measures it."""

    validator: Validator
    out: Path
    log: Log | None  # None on all processes but the first
    on_step: OnStep


@dataclass(frozen=True, eq=False)
class Measured:
    """Quality and terms of the loss on the scenes held back."""

    table: PQTable
    terms: dict[str, float]


def report(run: TrainingState, losses: Sequence[dict[str, float]], monitor: Monitor, measured: Measured | None) -> None:
    """Tells `on_step` and the log, of PQ too where it was just measured."""
    if monitor.log is None:
        return
    terms = {name: sum(one[name] for one in losses if name in one) / len(losses) for name in losses[-1]}
    line = StepReport(
        run.step, run.done(), run.spent(), sum(terms.values()), run.optimizer.param_groups[0]["lr"],
        None if measured is None else measured.table.all.pq, None if measured is None else measured.table.things.pq,
        terms, peak_mb(run.accelerator.device), {} if measured is None else measured.terms,
    )  # fmt: skip
    monitor.log.add(line)
    monitor.on_step(line)


def update_best(run: TrainingState, monitor: Monitor) -> Measured | None:
    """Measures the averaged weights on the first process, and keeps them in `best` where they beat all earlier
    ones."""
    if monitor.log is None:
        return None
    candidate, best = monitor.out / "candidate", monitor.out / "best"
    monitor.validator.export(run.average, candidate)
    table = evaluate(monitor.validator, candidate)[0]
    if (table.all.pq or 0.0) >= run.best:
        run.best = table.all.pq or 0.0
        shutil.rmtree(best, ignore_errors=True)
        candidate.replace(best)
    return Measured(table, held_back_loss(monitor.validator, run.average))


def finalize(run: TrainingState, monitor: Monitor) -> None:
    """Hands over the best weights with the thresholds that suit them on the scenes held back; ends the run."""
    best, out, validator = monitor.out / "best", monitor.out, monitor.validator
    fusion, table = choose_fusion(validator, best)
    chosen = {"fusion": asdict(fusion), "held_back": {"images": len(validator.samples), "PQ": table.all.pq}}
    (out / "fusion.json").write_text(json.dumps(chosen, indent=2) + "\n", encoding="utf-8")
    note = json.loads((best / "bench.json").read_text(encoding="utf-8"))
    note["fusion"] = {**note["fusion"], **thresholds(fusion)}
    (best / "bench.json").write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")
    for file in sorted(best.iterdir(), key=lambda file: file.name == "model.safetensors"):  # it says: finished
        file.replace(out / file.name)
    for folder in (best, out / "candidate"):
        shutil.rmtree(folder, ignore_errors=True)
    checkpoint(out).unlink(missing_ok=True)


def thresholds(fusion: FusionSpec) -> dict[str, float]:
    """What a FusionOverrides may say of a fusion."""
    names = [name for name in FusionOverrides.__dataclass_fields__ if name != "preset"]
    return {name: getattr(fusion, name) for name in names}
