"""State of a training run between two steps, and its checkpoint."""

from __future__ import annotations

import json
import os
import time
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from bench.errors import ModelError, UsageError
from bench.io.canonical_json import digest
from bench.io.files import write_atomic
from bench.training.learner import Learner, parameter_groups
from bench.training.recipe import Recipe


@dataclass(eq=False)
class TrainingState:
    """Weights, averaged weights, optimizer, counters and clock of a training run.

    Random numbers are functions of the recipe's seed and of `step` or `seen` (images so far), so that a checkpoint
    holds no generator state. `best` is the best PQ on the held-back images. `seconds` is the time spent before
    `started` (monotonic seconds).
    """

    recipe: Recipe
    learner: Learner
    average: Any
    optimizer: Any
    accelerator: Any
    scenes: int
    step: int = 0
    seen: int = 0
    best: float = -1.0
    seconds: float = 0.0
    started: float = 0.0
    stored: float = 0.0  # monotonic seconds

    def spent(self) -> float:
        return self.seconds + time.monotonic() - self.started

    def done(self) -> float:
        return self.done_at(self.step, self.seen)

    def done_at(self, step: int, seen: int) -> float:
        """Return the fraction after `step` steps and `seen` images; by the clock if the recipe counts minutes."""
        if self.recipe.steps is not None:
            return min(1.0, step / self.recipe.steps)
        if self.recipe.epochs is not None:
            return min(1.0, seen / (self.recipe.epochs * self.scenes))
        return min(1.0, self.spent() / (60 * (self.recipe.minutes or 0)))


def optimizer_of(learner: Learner, recipe: Recipe) -> torch.optim.Optimizer:
    groups, spec = parameter_groups(learner, recipe), recipe.optimizer
    if spec.name == "sgd":
        return torch.optim.SGD(groups, momentum=spec.momentum, weight_decay=spec.weight_decay, fused=True)
    kind = torch.optim.AdamW if spec.name == "adamw" else torch.optim.Adam
    return kind(groups, weight_decay=spec.weight_decay, fused=True)


def start_or_resume(recipe: Recipe, learner: Learner, accelerator: Any, scenes: int, out: Path) -> TrainingState:
    """Start a run, or resume from the checkpoint in `out`; write recipe.json. `scenes` counts training images."""
    learner.to(accelerator.device)
    optimizer = accelerator.prepare_optimizer(optimizer_of(learner, recipe))
    run = TrainingState(recipe, learner, deepcopy(learner.network), optimizer, accelerator, scenes)
    run.average.requires_grad_(False)
    if checkpoint(out).is_file():
        _resume(run, out)
    if accelerator.is_main_process:
        # Not write_json, which refuses NaN: a recipe made in Python may hold one, and the loss then ends the run.
        (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2) + "\n", encoding="utf-8")
    run.started = run.stored = time.monotonic()
    return run


def checkpoint(out: Path) -> Path:
    return out / "checkpoint.pt"


def save_checkpoint(run: TrainingState, out: Path) -> None:
    """Replace the checkpoint atomically."""
    scaler = run.accelerator.scaler
    state = {
        "recipe": digest(run.recipe), "step": run.step, "seen": run.seen, "best": run.best, "seconds": run.spent(),
        "learner": run.learner.state_dict(), "average": run.average.state_dict(),
        "optimizer": run.optimizer.state_dict(), "scaler": scaler.state_dict() if scaler else {},
    }  # fmt: skip
    with write_atomic(checkpoint(out)) as temporary, temporary.open("wb") as file:
        torch.save(state, file)
        file.flush()
        # Without it a machine that loses power can keep the new name and not the content.
        os.fsync(file.fileno())


def _resume(run: TrainingState, out: Path) -> None:
    path = checkpoint(out)
    try:
        # weights_only: a checkpoint is a pickle, and could run code.
        state = torch.load(path, weights_only=True, map_location=run.accelerator.device)
    except Exception as error:
        raise ModelError(f"{path}: cannot be read ({type(error).__name__}); delete it to start again") from None
    if state["recipe"] != digest(run.recipe):
        raise UsageError(f"{path}: belongs to another recipe; give another --out or delete it")
    run.learner.load_state_dict(state["learner"])
    run.average.load_state_dict(state["average"])
    run.optimizer.load_state_dict(state["optimizer"])
    if run.accelerator.scaler:
        run.accelerator.scaler.load_state_dict(state["scaler"])
    run.step, run.seen, run.best, run.seconds = state["step"], state["seen"], state["best"], state["seconds"]
