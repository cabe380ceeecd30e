"""The training loop: plain, resumable, annealed by the clock or by the count of steps."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench.datasets.dataset import load_dataset
from bench.errors import ModelError, UsageError
from bench.fusion.presets import PRESETS
from bench.recipes.augment import Batch, ahead, batches
from bench.recipes.heldback import choose_fusion, qualities
from bench.recipes.loss import set_loss
from bench.recipes.network import layers, save
from bench.recipes.recipe import Recipe
from bench.recipes.run import Run, begin, checkpoint, follow, store
from bench.recipes.targets import read_scene
from bench.types import Categories, Sample


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


@dataclass(frozen=True, eq=False)
class Watch:
    """Who is told how the run goes, and on what scenes it is measured."""

    held_back: Sequence[Sample]
    categories: Categories
    out: Path
    on_step: OnStep


def train(recipe: Recipe, out: Path, on_step: OnStep, root: Path | None = None) -> Path:
    """Trains, resuming from `out` where a run of the same recipe was interrupted; returns the weights' folder.

    `out` gets config.json, preprocessor_config.json, model.safetensors, fusion.json, recipe.json, and
    training.jsonl, a line a report. `root` is the data set's, for one that does not come embedded.
    """
    if (out / "model.safetensors").is_file():
        raise UsageError(f"{out}: holds a finished model; give another --out")
    torch.set_num_threads(1)
    torch.manual_seed(recipe.seed)
    data = load_dataset(recipe.dataset, root)
    learn, held = split(data.samples, recipe.held_back)
    scenes = [read_scene(sample, data.categories) for sample in learn]
    run = begin(recipe, data.categories, out)
    source = batches(scenes, lambda: recipe.phase(run.done()), recipe.seed + run.step)
    watch = Watch(held, data.categories, out, on_step)
    with closing(ahead(source)) as ready, ThreadPoolExecutor(recipe.threads) as pool:
        loop(run, ready, pool, watch)
    finish(run, watch)
    return out


def finish(run: Run, watch: Watch) -> None:
    """Saves the averaged weights, and the thresholds that suit them on the scenes held back; ends the run."""
    recipe, preset = run.recipe, PRESETS[run.recipe.fusion]
    held_back, categories = watch.held_back, watch.categories
    fusion, table = choose_fusion(run.average, held_back, categories, recipe.upscale, preset, recipe.threads)
    chosen = {"fusion": asdict(fusion), "held_back": {"images": len(held_back), "PQ": table.all.pq}}
    (watch.out / "fusion.json").write_text(json.dumps(chosen, indent=2) + "\n", encoding="utf-8")
    height, width = held_back[0].read_image().size
    save(run.average, watch.out, (height * recipe.upscale, width * recipe.upscale))
    checkpoint(watch.out).unlink(missing_ok=True)


def split(samples: Sequence[Sample], held_back: int) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """The samples to learn from, and those held back: evenly spaced, since a split is sorted by city."""
    if not 0 < held_back < len(samples):
        raise UsageError(f"held_back: {held_back} of {len(samples)} scenes leaves none to learn from or to check")
    held = {i * len(samples) // held_back for i in range(held_back)}
    return [s for i, s in enumerate(samples) if i not in held], [samples[i] for i in sorted(held)]


def loop(run: Run, ready: Iterator[Batch], pool: ThreadPoolExecutor, watch: Watch) -> None:
    """Steps until the run is done; a report every few steps, a checkpoint and PQ a few times in all."""
    recipe, losses = run.recipe, list[float]()
    due = math.floor(run.done() * recipe.checkpoints) + 1
    for model in run.replicas:
        model.train()
    while (done := run.done()) < 1:
        losses.append(one_step(run, next(ready), learning_rate(recipe, run.step, done), pool))
        checked = run.done() * recipe.checkpoints >= due
        if checked:
            due = math.floor(run.done() * recipe.checkpoints) + 1
            store(run, watch.out)
        if checked or run.step % recipe.log_every_steps == 0:
            report(run, losses, watch, checked)
            losses.clear()
    if losses:  # the clock ran out after the last look at it
        report(run, losses, watch, True)


def learning_rate(recipe: Recipe, step: int, done: float) -> float:
    """Linear warm-up, then half a cosine that reaches zero at the end of the run."""
    warm = min(1.0, (step + 1) / recipe.optimizer.warmup_steps)
    return recipe.optimizer.lr * warm * 0.5 * (1 + math.cos(math.pi * done))


def one_step(run: Run, batch: Batch, lr: float, pool: ThreadPoolExecutor) -> float:
    """One update of the weights and of their average; the loss. A loss that is no number is a ModelError."""
    shares = [s.tolist() for s in np.array_split(np.arange(len(batch.targets)), len(run.replicas)) if len(s)]
    used = run.replicas[: len(shares)]
    losses = list(pool.map(lambda model, share: gradients(model, batch, share, run.recipe), used, shares))
    loss = sum(losses) / len(losses)
    if not math.isfinite(loss):
        raise ModelError(f"step {run.step + 1}: the loss is {loss}; lower optimizer.lr and train again")
    for mine, *theirs in zip(run.model.parameters(), *(m.parameters() for m in used), strict=True):
        mine.grad = None if theirs[0].grad is None else torch.stack([p.grad for p in theirs]).mean(0)
    torch.nn.utils.clip_grad_norm_(run.model.parameters(), run.recipe.optimizer.clip_norm)
    for group in run.optimizer.param_groups:
        group["lr"] = lr
    run.optimizer.step()
    run.step += 1
    follow(run.average, run.model, min(run.recipe.optimizer.ema, (1 + run.step) / (10 + run.step)))
    return loss


def gradients(model: Any, batch: Batch, share: list[int], recipe: Recipe) -> float:
    """Leaves in `model` the gradients of the loss of some images of a batch; the loss."""
    torch.set_num_threads(1)  # it counts for the calling thread alone
    model.zero_grad()
    loss = set_loss(layers(model, batch.pixels[share]), [batch.targets[i] for i in share], recipe.loss)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.item()


def report(run: Run, losses: Sequence[float], watch: Watch, measure: bool) -> None:
    """Tells `on_step` and appends the line to training.jsonl; with `measure`, of PQ too."""
    recipe, table = run.recipe, None
    if measure:
        fusions = [PRESETS[recipe.fusion]]
        upscale, threads = recipe.upscale, recipe.threads
        table = qualities(run.average, watch.held_back, watch.categories, upscale, fusions, threads)[0]
    line = StepReport(
        run.step, run.done(), run.spent(), sum(losses) / len(losses), run.optimizer.param_groups[0]["lr"],
        None if table is None else table.all.pq, None if table is None else table.things.pq,
    )  # fmt: skip
    with (watch.out / "training.jsonl").open("a", encoding="utf-8") as log:
        log.write(json.dumps(asdict(line)) + "\n")
    watch.on_step(line)
