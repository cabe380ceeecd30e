"""Overhead of a worker process: images a second of a model that takes 100 ms, in this process and in a worker.

    python benchmarks/worker.py [--images 60] [--size 1024 2048] [--rounds 3]

The model sleeps, like a model that waits for its GPU, so the processor is free for the rest. Both ways run through the
same evaluation, in turns; the median of the rounds counts.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from bench.datasets.dataset import Dataset
from bench.datasets.label_spaces import load_space
from bench.evaluation.evaluator import predict_and_score
from bench.evaluation.identity import run_identity
from bench.evaluation.session import RunSession
from bench.io.hashing import FileDigests
from bench.models.loading import open_model
from bench.models.resolve import resolve_model
from bench.models.spec import ModelSpec
from bench.types import Image, Panoptic, Sample, SegmentInfo

SEGMENTS = 20
YAML = """\
title: asleep
adapter: ./asleep.py:Asleep
method: one-shot
fusion: {preset: mask2former}
defaults: {minicity: it}
checkpoints:
  it: {path: ., categories: cityscapes-19, input: {shorter: 1024, longer: 2048}}
"""
MODEL = """\
import time
import numpy as np
from bench.types import Panoptic, Prediction, SegmentInfo

class Asleep:
    def __init__(self, spec, device):
        self.categories = spec.space

    def preprocess(self, image):
        return image.size

    def infer(self, batch):
        time.sleep(0.1 * len(batch))
        return batch

    def postprocess(self, output, size):
        ids = (np.arange(size[1], dtype=np.int32) * 20 // size[1] + 1)[None].repeat(size[0], 0)
        infos = tuple(SegmentInfo(self.categories.ids[i % 19], score=0.9) for i in range(20))
        return Prediction(Panoptic(ids, infos), ids)
"""


def dataset(images: int, size: tuple[int, int]) -> Dataset:
    """Return a data set of noise images in memory, with vertical bands as truth."""
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
    space = load_space("cityscapes-19").evaluated
    ids = (np.arange(size[1], dtype=np.int32) * SEGMENTS // size[1] + 1)[None].repeat(size[0], 0)
    truth = Panoptic(ids, tuple(SegmentInfo(space.ids[i % len(space)]) for i in range(SEGMENTS)))
    names = [f"image{i:04d}" for i in range(images)]
    samples = [Sample(n, "noise", lambda n=n: Image(n, rgb), lambda: truth) for n in names]  # type: ignore[misc]
    return Dataset("noise", "all", space, tuple(samples), "cityscapes")


def measure(spec: ModelSpec, data: Dataset) -> tuple[float, float]:
    """Return images a second after loading, and processor seconds an image including the start of a worker."""
    identity = run_identity(spec.name, data, {}, 1, "coco", ())
    before = processor()
    with (
        tempfile.TemporaryDirectory() as out,
        open_model(spec, "cpu") as model,
        RunSession(Path(out), data, identity, None, FileDigests(), save_predictions=False) as session,
    ):
        start = time.perf_counter()
        predict_and_score(model, session)
        seconds = time.perf_counter() - start
    return len(data.samples) / seconds, (processor() - before) / len(data.samples)


def processor() -> float:
    """Return processor seconds of this process and of ended workers."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 2048))
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        yaml, data = Path(folder) / "asleep.yaml", dataset(asked.images, tuple(asked.size))
        yaml.with_suffix(".py").write_text(MODEL)
        specs = {}
        for name, env in (("in this process", ""), ("in a worker", f"env: {sys.executable}\n")):
            yaml.write_text(YAML + env)
            specs[name] = resolve_model(str(yaml), "minicity")
        rounds = [{name: measure(spec, data) for name, spec in specs.items()} for _ in range(asked.rounds)]
    print(f"{asked.images} images of {asked.size[0]}×{asked.size[1]}, 100 ms each; load {os.getloadavg()[0]:.1f}")
    rates = {name: statistics.median(r[name][0] for r in rounds) for name in specs}
    for name in specs:
        spent = 1000 * statistics.median(r[name][1] for r in rounds)
        each = ", ".join(f"{r[name][0]:.2f}" for r in rounds)
        print(f"{name:16s} {rates[name]:.2f} images/s ({each}), {spent:.0f} ms of processor time an image")
    print(f"overhead         {100 * (rates['in this process'] / rates['in a worker'] - 1):.1f} %")


if __name__ == "__main__":
    main()
