"""Training log: training.jsonl, one JSON line a report, and TensorBoard scalars."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class StepReport:
    """Report on a training run after a step.

    `done` is the fraction of the run, `loss` the mean since the last report, `terms` its parts, `seconds` the time
    spent and `memory_mb` the peak memory, both so far. `PQ`, `PQ_things` (0..1, of the averaged weights) and
    `held_back_terms` (loss terms) are of the held-back images; None or empty if not measured since the last report.
    """

    step: int
    done: float
    seconds: float
    loss: float
    lr: float
    PQ: float | None = None
    PQ_things: float | None = None
    terms: Mapping[str, float] = field(default_factory=dict)
    memory_mb: float | None = None
    held_back_terms: Mapping[str, float] = field(default_factory=dict)


OnStep = Callable[[StepReport], None]


class Log:
    """Writer of training.jsonl and tensorboard/. Removes lines after `step`, which an interrupted run may have left."""

    def __init__(self, out: Path, step: int) -> None:
        from tensorboardX import SummaryWriter

        self.path = out / "training.jsonl"
        if self.path.is_file():
            lines = self.path.read_text(encoding="utf-8").splitlines()
            # A run that is resumed from its checkpoint repeats the steps after it.
            kept = [line for line in lines if _step(line) <= step]
            self.path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self.board: Any = SummaryWriter(str(out / "tensorboard"), purge_step=step + 1)

    def add(self, report: StepReport) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(report)) + "\n")
        scalars = {"loss/total": report.loss, "schedule/lr": report.lr, "schedule/done": report.done}
        scalars |= {f"loss/{name}": value for name, value in report.terms.items()}
        quality = {"held_back/PQ": report.PQ, "held_back/PQ_things": report.PQ_things, "memory_mb": report.memory_mb}
        scalars |= {f"held_back/{name}": value for name, value in report.held_back_terms.items()}
        scalars |= {name: value for name, value in quality.items() if value is not None}
        for name, value in scalars.items():
            self.board.add_scalar(name, value, report.step)
        self.board.flush()

    def close(self) -> None:
        self.board.close()


def _step(line: str) -> float:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
