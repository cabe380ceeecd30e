"""A training run between two steps: the weights and their average, the optimiser, the clock; its checkpoint."""

from __future__ import annotations

import json
import time
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from bench.config import digest
from bench.errors import ModelError, UsageError
from bench.recipes.network import build
from bench.recipes.recipe import Recipe
from bench.types import Categories


@dataclass(eq=False)
class Run:
    """What a checkpoint holds, and the clock. `seconds` were spent before `started` (monotonic seconds).

    Each thread has a replica of the model: the same weights in the same memory, gradients of its own. They
    meet once a step; threads that meet in every operation crawl as soon as a neighbour wants a core.
    """

    recipe: Recipe
    model: Any
    replicas: list[Any]
    average: Any
    optimizer: torch.optim.AdamW
    step: int = 0
    seconds: float = 0.0
    started: float = 0.0

    def spent(self) -> float:
        return self.seconds + time.monotonic() - self.started

    def done(self) -> float:
        """The fraction of the run that lies behind, at most 1."""
        if self.recipe.steps is not None:
            return min(1.0, self.step / self.recipe.steps)
        return min(1.0, self.spent() / (60 * (self.recipe.minutes or 0)))


def begin(recipe: Recipe, categories: Categories, out: Path) -> Run:
    """A fresh run, or the interrupted one whose checkpoint lies in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    model = build(recipe.network, categories)
    spec = recipe.optimizer
    optimizer = torch.optim.AdamW(model.parameters(), spec.lr, weight_decay=spec.weight_decay, fused=True)
    replicas = [replica(model) for _ in range(recipe.threads)]
    run = Run(recipe, model, replicas, deepcopy(model), optimizer)
    if checkpoint(out).is_file():
        _resume(run, out)
    (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2) + "\n")
    run.started = time.monotonic()
    return run


def replica(model: Any) -> Any:
    """A copy that shares the weights and batch norm's statistics, but not the gradients."""
    copy = deepcopy(model)
    for ours, theirs in zip(copy.parameters(), model.parameters(), strict=True):
        ours.data = theirs.data
    for name, buffer in model.named_buffers():
        owner, _, leaf = name.rpartition(".")
        copy.get_submodule(owner)._buffers[leaf] = buffer
    return copy


@torch.no_grad()
def follow(average: Any, model: Any, decay: float) -> None:
    """Moves the averaged weights (and batch norm's statistics) towards the model's."""
    ours = [tensor for tensor in average.state_dict().values() if tensor.is_floating_point()]
    theirs = [tensor for tensor in model.state_dict().values() if tensor.is_floating_point()]
    torch._foreach_lerp_(ours, theirs, 1 - decay)


def checkpoint(out: Path) -> Path:
    return out / "checkpoint.pt"


def store(run: Run, out: Path) -> None:
    """Replaces the checkpoint, which is complete at any moment."""
    state = {
        "recipe": digest(run.recipe), "step": run.step, "seconds": run.spent(), "model": run.model.state_dict(),
        "average": run.average.state_dict(), "optimizer": run.optimizer.state_dict(),
    }  # fmt: skip
    temporary = checkpoint(out).with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(checkpoint(out))


def _resume(run: Run, out: Path) -> None:
    path = checkpoint(out)
    try:
        state = torch.load(path, weights_only=True)
    except Exception as error:
        raise ModelError(f"{path}: cannot be read ({type(error).__name__}); delete it to start anew") from None
    if state["recipe"] != digest(run.recipe):
        raise UsageError(f"{path}: belongs to another recipe; give another --out or delete it")
    run.model.load_state_dict(state["model"])
    run.average.load_state_dict(state["average"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.step, run.seconds = state["step"], state["seconds"]
