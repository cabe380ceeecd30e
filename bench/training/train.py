"""Training loop: resumable, with a schedule by time, steps or epochs, on one process or several (accelerate)."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from bench.datasets.registry import load_dataset
from bench.errors import ModelError, UsageError
from bench.training.data.batches import Batch, DataShard, batches, prefetch
from bench.training.data.scenes import SampleCache, split
from bench.training.families.family import find_family
from bench.training.gradients import CudaMeter, Engine, Notify, gradients
from bench.training.initialization import network_of
from bench.training.learner import Learner, freeze, replica, update_average
from bench.training.log import Log, OnStep
from bench.training.monitor import Monitor, finalize, report, update_best
from bench.training.recipe import Phase, Recipe
from bench.training.state import TrainingState, checkpoint, save_checkpoint, start_or_resume
from bench.training.validation import Validator


def train(
    recipe: Recipe, out: Path, on_step: OnStep, root: Path | None = None, notify: Notify = lambda note: None
) -> Path:
    """Train a recipe, resuming a run of the same recipe that was interrupted in `out`; return `out`.

    `out` receives model.safetensors, config.json, preprocessor_config.json, bench.json (label space, input size,
    fusion), fusion.json, recipe.json, training.jsonl (one line a report) and tensorboard/. `root` is the folder of the
    data set, as in `load_dataset`. `notify` receives messages on choices that the recipe leaves open, such as how many
    images fit into memory. Raises UsageError if `out` holds a finished model.
    """
    if (out / "model.safetensors").is_file():
        raise UsageError(f"{out}: holds a finished model; give another --out")
    accelerator, family = accelerator_of(recipe), find_family(recipe.family)
    data = load_dataset(recipe.dataset, root)
    for note in data.pictures.notes():
        notify(note)
    learn, held = split(data, recipe)
    out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(recipe.seed)
    learner = Learner(network_of(recipe, family, data, notify), family, recipe, data.categories)
    scenes = SampleCache(learn, data.categories, recipe.longest_edge, int(recipe.memory_gb * 1e9))
    run = start_or_resume(recipe, learner, accelerator, len(scenes), out)
    if run.step:
        notify(f"{checkpoint(out)}: going on after step {run.step}")
    validator = Validator(recipe, family, data, held, accelerator.device.type)
    log = Log(out, run.step) if accelerator.is_main_process else None
    monitor = Monitor(validator, out, log, on_step)
    feed = DataShard(family.stride, accelerator.process_index, accelerator.num_processes)
    source = batches(scenes, recipe, feed, run.seen, lambda step, seen: recipe.phase(run.done_at(step, seen)), run.step)
    with closing(prefetch(source)) as ready, ThreadPoolExecutor(recipe.threads) as pool:
        loop(run, ready, engine_of(run, pool, notify), monitor)
    if log is not None:
        log.close()
        finalize(run, monitor)
    accelerator.wait_for_everyone()
    return out


def accelerator_of(recipe: Recipe) -> Any:
    """Return the Accelerator for the recipe. Raises UsageError if the recipe does not suit the number of processes."""
    try:
        from accelerate import Accelerator
    except ModuleNotFoundError as error:
        raise ModelError(f"training needs {error.name}; pip install 'panoptic-bench[models,train]'") from None
    accelerator: Any = Accelerator(mixed_precision=recipe.precision)
    if accelerator.num_processes > 1 and recipe.minutes is not None:
        # One process would stop a step earlier, and the others would wait for its gradients.
        raise UsageError("minutes: processes do not agree on the time; give steps or epochs instead")
    smallest = min(phase.batch for phase in recipe.phases)
    if smallest < accelerator.num_processes:
        raise UsageError(f"phases: a batch of {smallest} leaves some of {accelerator.num_processes} processes idle")
    return accelerator


def engine_of(run: TrainingState, pool: ThreadPoolExecutor, notify: Notify) -> Engine:
    """Return the Engine: one replica a thread if a single process trains on the CPU, else the model alone."""
    recipe, accelerator = run.recipe, run.accelerator
    alone = accelerator.device.type != "cpu" or accelerator.num_processes > 1 or recipe.threads == 1
    torch.set_num_threads(recipe.threads if alone else 1)
    replicas = [run.learner] if alone else [replica(run.learner) for _ in range(recipe.threads)]
    micro_batch_size = None if recipe.at_once == "auto" else recipe.at_once
    measured = recipe.at_once == "auto" and accelerator.device.type == "cuda"
    meter = CudaMeter(accelerator.device) if measured else None
    return Engine(accelerator, run.learner, replicas, pool, recipe.seed, micro_batch_size, notify, meter)


def loop(run: TrainingState, ready: Iterator[Batch], engine: Engine, monitor: Monitor) -> None:
    """Train until the run is done; report, validate and save checkpoints at the intervals of the recipe."""
    recipe, losses = run.recipe, list[dict[str, float]]()
    due, phase = math.floor(run.done() * recipe.checkpoints) + 1, None
    while run.done() < 1:
        batch = next(ready)
        if batch.phase is not phase:
            phase = start_phase(batch.phase, engine, recipe)
        losses.append(one_step(run, batch, engine))
        checked = run.done() * recipe.checkpoints >= due
        # Boxes alone have no PQ.
        measured = update_best(run, monitor) if checked and not batch.phase.boxes_only else None
        if checked or time.monotonic() - run.stored > 60 * recipe.save_minutes:
            due = math.floor(run.done() * recipe.checkpoints) + 1
            checkpoint_now(run, monitor)
        if checked or run.step % recipe.log_every_steps == 0:
            report(run, losses, monitor, measured)
            losses.clear()
    # With `minutes`, the time can run out after the last report.
    if losses:
        report(run, losses, monitor, update_best(run, monitor))


def start_phase(phase: Phase, engine: Engine, recipe: Recipe) -> Phase:
    """Freeze the parameters listed by phase and recipe; on CUDA, have the next step measure memory an image again."""
    engine.probing = engine.meter is not None
    # By identity: without replication the replica is the model itself.
    for model in {id(m): m for m in (engine.model, *engine.replicas)}.values():
        freeze(model, (*recipe.freeze, *phase.freeze))
    return phase


def learning_rate(recipe: Recipe, step: int, done: float) -> float:
    """Return the factor on the full learning rate: linear warm-up, then half a cosine down to 0, or constant 1."""
    warm = min(1.0, (step + 1) / max(1, recipe.optimizer.warmup_steps))
    if recipe.optimizer.schedule == "constant":
        return warm
    return warm * 0.5 * (1 + math.cos(math.pi * recipe.within_schedule(done)))


def one_step(run: TrainingState, batch: Batch, engine: Engine) -> dict[str, float]:
    """Update the weights and their moving average once; return the terms of the loss.

    Raises ModelError if the loss is not finite.
    """
    spec, share = run.recipe.optimizer, learning_rate(run.recipe, run.step, run.done())
    place = run.step * run.accelerator.num_processes + run.accelerator.process_index
    # By step and process, so that dropout draws the same after a resume. The prime keeps neighbouring seeds apart.
    torch.manual_seed(run.recipe.seed * 1_000_003 + place)
    terms = gradients(engine, batch)
    if not math.isfinite(sum(terms.values())):
        culprits = ", ".join(name for name, value in terms.items() if not math.isfinite(value))
        raise ModelError(
            f"step {run.step + 1}: the loss is {sum(terms.values())} ({culprits}); lower optimizer.lr, raise "
            "optimizer.warmup_steps or train with precision: no"
        )
    run.accelerator.clip_grad_norm_(run.learner.parameters(), spec.clip_norm)
    for group in run.optimizer.param_groups:
        group["lr"] = group["full_lr"] * share
    run.optimizer.step()
    run.step, run.seen = run.step + 1, batch.seen
    # The average of few steps would be mostly random weights, so that the decay grows to its value (as in TensorFlow's
    # ExponentialMovingAverage with num_updates).
    update_average(run.average, run.learner.network, min(spec.ema, (1 + run.step) / (10 + run.step)))
    return terms


def checkpoint_now(run: TrainingState, monitor: Monitor) -> None:
    """Save a checkpoint from the main process, and restart the timer of `save_minutes`."""
    if monitor.log is not None:
        save_checkpoint(run, monitor.out)
    run.stored = time.monotonic()
