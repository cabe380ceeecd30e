"""The training loop: plain, resumable, annealed by the clock or by the count of steps."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.config import digest
from bench.datasets.dataset import Dataset, load_dataset
from bench.errors import ModelError, UsageError
from bench.fusion.presets import PRESETS
from bench.recipes.augment import Batch, ahead, batches
from bench.recipes.heldback import quality
from bench.recipes.loss import set_loss
from bench.recipes.network import build, layers, save
from bench.recipes.recipe import Recipe
from bench.recipes.targets import read_scene
from bench.types import Sample


@dataclass(frozen=True)
class StepReport:
    """Where a run stands: `done` is the fraction of it, `loss` the mean since the last report, `seconds`
    the time spent so far; `PQ` and `PQ_things` (fractions) of the averaged weights on the scenes held
    back, where they were just measured."""

    step: int
    done: float
    seconds: float
    loss: float
    lr: float
    PQ: float | None = None
    PQ_things: float | None = None


OnStep = Callable[[StepReport], None]


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


def train(recipe: Recipe, out: Path, on_step: OnStep, root: Path | None = None) -> Path:
    """Trains, resuming from `out` where a run of the same recipe was interrupted; returns the weights' folder.

    `out` gets the folder's three files, `recipe.json` and `training.jsonl`, a line a report. `root` is the
    data set's, for one that does not come embedded.
    """
    if (out / "model.safetensors").is_file():
        raise UsageError(f"{out}: holds a finished model; give another --out")
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    data = load_dataset(recipe.dataset, root)
    learn, held = split(data.samples, recipe.held_back)
    scenes = [read_scene(sample, data.categories) for sample in learn]
    run = begin(recipe, data, out)
    run.started = time.monotonic()
    source = batches(
        scenes, lambda: recipe.phase(run.done()), recipe.network.upscale, recipe.network.cell_px, recipe.seed + run.step
    )
    with closing(ahead(source)) as ready:
        loop(run, ready, data, held, out, on_step)
    height, width = held[0].read_image().size
    save(run.average, out, (height * recipe.network.upscale, width * recipe.network.upscale))
    _checkpoint(out).unlink(missing_ok=True)
    return out


def split(samples: Sequence[Sample], held_back: int) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The samples to learn from, and those that nothing is learned from, evenly spaced: a split is sorted by city."""
    if not 0 < held_back < len(samples):
        raise UsageError(f"held_back: {held_back} of {len(samples)} scenes leaves nothing to learn or to check")
    held = {i * len(samples) // held_back for i in range(held_back)}
    return [s for i, s in enumerate(samples) if i not in held], [samples[i] for i in sorted(held)]


def begin(recipe: Recipe, data: Dataset, out: Path) -> Run:
    """A fresh run, or the interrupted one whose checkpoint lies in `out`."""
    out.mkdir(parents=True, exist_ok=True)
    model = build(recipe.network, data.categories)
    spec = recipe.optimizer
    optimizer = torch.optim.AdamW(model.parameters(), spec.lr, weight_decay=spec.weight_decay, fused=True)
    replicas = [replica(model) for _ in range(recipe.threads)]
    run = Run(recipe, model, replicas, deepcopy(model), optimizer)
    (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2) + "\n")
    if _checkpoint(out).is_file():
        _resume(run, out)
    return run


def _checkpoint(out: Path) -> Path:
    return out / "checkpoint.pt"


def _store(run: Run, out: Path) -> None:
    state = {
        "recipe": digest(run.recipe), "step": run.step, "seconds": run.spent(), "model": run.model.state_dict(),
        "average": run.average.state_dict(), "optimizer": run.optimizer.state_dict(),
    }  # fmt: skip
    temporary = _checkpoint(out).with_suffix(".part")
    torch.save(state, temporary)
    temporary.replace(_checkpoint(out))


def _resume(run: Run, out: Path) -> None:
    state = torch.load(_checkpoint(out), weights_only=True)
    if state["recipe"] != digest(run.recipe):
        raise UsageError(f"{_checkpoint(out)}: belongs to another recipe; give another --out or delete it")
    run.model.load_state_dict(state["model"])
    run.average.load_state_dict(state["average"])
    run.optimizer.load_state_dict(state["optimizer"])
    run.step, run.seconds = state["step"], state["seconds"]


def loop(run: Run, ready: Any, data: Dataset, held: Sequence[Sample], out: Path, on_step: OnStep) -> None:
    """Steps until the run is done; a report every few steps, a checkpoint and PQ a few times in all."""
    recipe, losses = run.recipe, list[float]()
    due = math.floor(run.done() * recipe.checkpoints) + 1
    for model in run.replicas:
        model.train()
    pool = ThreadPoolExecutor(recipe.threads)
    while (done := run.done()) < 1:
        losses.append(one_step(run, next(ready), learning_rate(recipe, run.step, done), pool))
        ended = run.done() >= 1
        checked = ended or run.done() * recipe.checkpoints >= due
        if checked:
            due += 1
            _store(run, out)
        if checked or run.step % recipe.log_every_steps == 0:
            _report(run, losses, data, held if checked else [], out, on_step)
            losses.clear()


def learning_rate(recipe: Recipe, step: int, done: float) -> float:
    """Linear warm-up, then half a cosine that reaches zero at the end of the run."""
    warm = min(1.0, (step + 1) / recipe.optimizer.warmup_steps)
    return recipe.optimizer.lr * warm * 0.5 * (1 + math.cos(math.pi * done))


def replica(model: Any) -> Any:
    """A copy that shares the weights and batch norm's statistics, but not the gradients."""
    copy = deepcopy(model)
    for ours, theirs in zip(copy.parameters(), model.parameters(), strict=True):
        ours.data = theirs.data
    for name, buffer in model.named_buffers():
        owner, _, leaf = name.rpartition(".")
        copy.get_submodule(owner)._buffers[leaf] = buffer
    return copy


def one_step(run: Run, batch: Batch, lr: float, pool: ThreadPoolExecutor) -> float:
    """One update of the weights and of their average; the loss. A loss that is no number is a ModelError."""
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    shares = [s.tolist() for s in np.array_split(np.arange(len(batch.targets)), len(run.replicas)) if len(s)]
    used = run.replicas[: len(shares)]
    losses = list(pool.map(lambda model, share: gradients(model, batch, share, run.recipe), used, shares))
    value = sum(losses) / len(losses)
    if not math.isfinite(value):
        raise ModelError(f"step {run.step + 1}: the loss is {value}; lower optimizer.lr and run again")
    for mine, *theirs in zip(run.model.parameters(), *(m.parameters() for m in used), strict=True):
        mine.grad = torch.stack([p.grad for p in theirs]).mean(0) if theirs[0].grad is not None else None
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), run.recipe.optimizer.clip_norm)
    run.optimizer.step()
    run.step += 1
    follow(run.average, run.model, min(run.recipe.optimizer.ema, (1 + run.step) / (10 + run.step)))
    return value


def gradients(model: Any, batch: Batch, share: list[int], recipe: Recipe) -> float:
    """Leaves in `model` the gradients of the loss of some images of a batch; the loss."""
    torch.set_num_threads(1)
    model.zero_grad()
    loss = set_loss(layers(model, batch.pixels[share]), [batch.targets[i] for i in share], recipe.loss)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item()


@torch.no_grad()
def follow(average: Any, model: Any, decay: float) -> None:
    """Moves the averaged weights (and batch norm's statistics) towards the model's."""
    ours = [tensor for tensor in average.state_dict().values() if tensor.is_floating_point()]
    theirs = [tensor for tensor in model.state_dict().values() if tensor.is_floating_point()]
    torch._foreach_lerp_(ours, theirs, 1 - decay)


def _report(run: Run, losses: list[float], data: Dataset, held: Sequence[Sample], out: Path, on_step: OnStep) -> None:
    """Tells `on_step` and appends the line to training.jsonl; measures PQ where `held` has scenes."""
    table = None
    if held:
        recipe = run.recipe
        fusion = PRESETS[recipe.fusion]
        table = quality(run.average, held, data.categories, recipe.network.upscale, fusion, recipe.threads)
    report = StepReport(
        run.step, run.done(), run.spent(), sum(losses) / max(1, len(losses)), run.optimizer.param_groups[0]["lr"],
        table and table.all.pq, table and table.things.pq,
    )  # fmt: skip
    with (out / "training.jsonl").open("a") as log:
        log.write(json.dumps(asdict(report)) + "\n")
    on_step(report)
