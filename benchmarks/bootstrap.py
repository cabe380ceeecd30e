"""Time of a paired bootstrap at the size of COCO val: 5,000 images, 133 classes, 10,000 replicates, two runs.

    python benchmarks/bootstrap.py [--images N] [--replicates N] [--workers N]

Random sums with as many classes an image as COCO has (about 9 of segments, 12 of pixels), and both kinds of mIoU.
"""

import argparse
import time

import numpy as np
from rich.console import Console

from bench.metrics.bootstrap import estimates, point_estimates, resample
from bench.metrics.image_statistics import PARTS, ImageSums
from bench.types import Categories, Category

CLASSES = 133


def run(images: int, seed: int) -> ImageSums:
    """Return random image sums; class frequencies fall as 1 / rank, roughly as in COCO."""
    rng = np.random.default_rng(seed)
    frequency = 1 / np.arange(1, CLASSES + 1)
    frequency = np.minimum(12 * frequency / frequency.sum(), 0.6)[:, None]
    parts = np.zeros((len(PARTS), CLASSES, images))
    seen = np.random.default_rng(0).random((CLASSES, images)) < frequency  # the truth is the same for both runs
    tp = rng.binomial(2, 0.6, seen.shape) * seen
    parts[0], parts[1], parts[2] = tp * rng.uniform(0.6, 0.95, seen.shape), tp, (tp + rng.integers(1, 4) * 0.5) * seen
    for first in (3, 6):
        union = rng.integers(1, 300_000, seen.shape) * seen
        parts[first], parts[first + 1], parts[first + 2] = union * rng.random(seen.shape), union, union
    categories = Categories(tuple(Category(i, str(i), i < 80, (0, 0, 0)) for i in range(CLASSES)))
    names = tuple(f"{k:06d}" for k in range(images))
    return ImageSums.of_parts(categories, names, names, parts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--replicates", type=int, default=10_000)
    parser.add_argument("--workers", type=int, default=2)
    asked = parser.parse_args()
    runs = [run(asked.images, seed) for seed in (1, 2)]
    wall, cpu = time.perf_counter(), time.process_time()
    a, b = resample(runs, replicates=asked.replicates, workers=asked.workers)
    estimates(point_estimates(runs[1]) - point_estimates(runs[0]), b - a)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    classes = np.mean([(one.parts[2] > 0).sum(axis=0).mean() for one in runs])
    Console().print(
        f"{asked.replicates} paired replicates of {asked.images} images x {CLASSES} classes ({classes:.1f} an image): "
        f"{wall:.2f} s wall, {cpu:.2f} s of processor time, {asked.workers} workers"
    )


if __name__ == "__main__":
    main()
