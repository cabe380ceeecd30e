"""Time of the commands that explain stored runs, at the size of COCO val: 5,000 images, 133 classes.

    python benchmarks/explanations.py [--runs 20] [--bench PATH] [--only errors compare] [--save FOLDER] [--json]

Image lines of several runs on one ground truth are drawn and kept in the cache: about 12 segments an image, crowds,
void, wrong classes, split, merged and missed segments, and a semantic map. Each command is a fresh process: first with
an empty cache of columns (cold), then again (warm). Wall and processor seconds, and the peak memory of the process
(Linux). `--bench` is the command of another checkout, and `--save` keeps what is printed and the report, to compare two
checkouts byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.io.canonical_json import digest
from bench.io.files import cache_folder
from bench.metrics.pq import PQ_VERSION
from bench.metrics.semantic import SEMANTIC_VERSION, confusion_of
from bench.overlap import Overlap
from bench.results.accumulator import RunAccumulator
from bench.results.writer import RunWriter
from bench.types import Categories, Category, Panoptic, SegmentInfo

CLASSES, SIZE, BLOCK = 133, (120, 160), 16  # drawn at a quarter of 480 x 640; a cell is 16 px
CATEGORIES = Categories(tuple(Category(i, f"class {i}", i <= 80, (i, i, i)) for i in range(1, CLASSES + 1)))
FREQUENCY = 1 / np.arange(1, CLASSES + 1)
RULES = {
    "protocol": "coco", "semantic_rule": "cityscapes", "pq_version": PQ_VERSION, "semantic_version": SEMANTIC_VERSION,
}  # fmt: skip
COMMANDS = {
    "show": ["show", "run-00"],
    "errors": ["show", "run-00", "--errors"],
    "by-size": ["show", "run-00", "--by-size"],
    "thresholds": ["show", "run-00", "--thresholds"],
    "confusion": ["show", "run-00", "--confusion"],
    "intervals": ["show", "run-00", "--intervals"],
    "compare": ["compare", "run-00", "run-01"],
    "leaderboard-2": ["leaderboard", "--results", "two"],
    "leaderboard": ["leaderboard"],
    "report": ["report", "run-00", "--out", "report"],
    "report-2": ["report", "run-00", "run-01", "--out", "report"],
}


def cells(rng: np.random.Generator, points: int) -> NDArray[np.int64]:
    """Return (H, W) numbers of the nearest of random points, from 1, with a strip of void."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]]
    places = rng.random((points, 2)) * SIZE
    far = (y - places[:, :1, None]) ** 2 * rng.uniform(0.3, 3, (points, 1, 1)) + (x - places[:, 1:, None]) ** 2
    found = far.argmin(axis=0) + 1
    found[:, : rng.integers(0, 8)] = 0
    return found


def segments(rng: np.random.Generator, count: int) -> NDArray[np.int64]:
    """Return category ids of `count` segments, frequencies falling as 1 / rank over shuffled ranks."""
    ranks = np.random.default_rng(0).permutation(FREQUENCY)
    return rng.choice(np.arange(1, CLASSES + 1), count, p=ranks / ranks.sum())


def dense(ids: NDArray[np.int64], infos: dict[int, SegmentInfo]) -> Panoptic:
    return Panoptic.from_ids(ids, {i: infos[i] for i in np.unique(ids).tolist() if i})


def predicted(rng: np.random.Generator, truth: NDArray[np.int64], classes: NDArray[np.int64]) -> Panoptic:
    """Return a damaged copy: shifted, with segments dropped, merged, split and of another class."""
    ids = np.roll(truth, rng.integers(-4, 5, 2), (0, 1))
    diagonal = np.add.outer(np.arange(SIZE[0]), np.arange(SIZE[1])) % 60 < 30
    guessed = np.where(rng.random(len(classes)) < 0.12, segments(rng, len(classes)), classes)
    for number in range(1, len(classes)):
        kind = rng.random()
        if kind < 0.06:
            ids[ids == number] = 0
        elif kind < 0.12:
            ids[ids == number] = max(1, number - 1)
        elif kind < 0.2:
            ids[(ids == number) & diagonal] = len(classes) + number
    both = np.concatenate([guessed, guessed])
    return dense(ids, {i: SegmentInfo(int(both[i]), score=float(rng.random())) for i in range(1, len(both))})


def overlap(truth: Panoptic, prediction: Panoptic) -> Overlap:
    """Return the overlap with areas and pixels of the full size."""
    drawn = Overlap.of(truth, prediction)
    return Overlap.of_table(truth.segments_info, prediction.segments_info, drawn.table * [1, 1, BLOCK])


def line(k: int, run: int) -> dict[str, Any]:
    """Return the line of image `k`; its truth does not depend on the run."""
    rng = np.random.default_rng([k, 0])
    ids = cells(rng, int(rng.integers(5, 20)))
    classes = np.array([0, *segments(rng, ids.max())])
    counted = np.bincount(ids.ravel(), minlength=len(classes)) * BLOCK
    infos = {
        i: SegmentInfo(
            int(classes[i]), bool(rng.random() < 0.03), declared_area=int(counted[i] + (rng.random() < 0.02))
        )
        for i in range(1, len(classes))
    }
    truth = dense(ids, infos)
    rng = np.random.default_rng([k, 1 + run])
    found, other = (overlap(truth, predicted(rng, ids, classes)) for _ in range(2))
    return {
        "image_id": f"{k:012d}", "group": "", "truth": digest([k, CLASSES])[:16],
        "overlap": found, "semantic": confusion_of(other, CATEGORIES),
    }  # fmt: skip


def write_run(folder: Path, run: int, images: int) -> None:
    """Write a complete run of drawn lines."""
    ids = [f"{k:012d}" for k in range(images)]
    categories = [{"id": c.id, "name": c.name, "isthing": c.isthing, "color": list(c.color)} for c in CATEGORIES]
    meta = {
        "name": folder.parent.name, "model": {"predictions": f"{run}"}, "rules": RULES,
        "dataset": {
            "name": "drawn", "split": "val", "images": images, "image_ids": digest(ids)[:16], "categories": categories,
        },
    }  # fmt: skip
    accumulator = RunAccumulator(CATEGORIES, RULES)
    with RunWriter(folder, meta, fresh=True) as writer:
        for k in range(images):
            scored = accumulator.score_lines([line(k, run)])
            accumulator.add(scored)
            writer.append(scored.image_ids, scored.texts, [{"total": 0.01}])
        accumulator.complete(writer, ids)


def drawn_runs(runs: int, images: int) -> Path:
    """Return a folder with results/ and two/ (the first two runs), drawn on first use."""
    home = cache_folder() / f"explanations-v1-{images}"
    for run in range(runs):
        folder = home / "results" / "drawn-val" / f"run-{run:02d}" / f"{run:012d}"
        if not (folder / "done.json").exists():
            write_run(folder, run, images)
    if not (home / "two").exists():
        for run in range(2):
            shutil.copytree(
                home / "results" / "drawn-val" / f"run-{run:02d}", home / "two" / "drawn-val" / f"run-{run:02d}"
            )
    return home


def timed(command: list[str], cache: Path, cwd: Path) -> tuple[dict[str, float], bytes]:
    """Return seconds, peak memory and the output of a command. Raise CalledProcessError if it fails."""
    with tempfile.TemporaryFile() as out:
        start = time.perf_counter()
        environment = {**os.environ, "BENCH_CACHE": str(cache), "COLUMNS": "200"}
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.DEVNULL, env=environment, cwd=cwd)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - start
        if status:
            raise subprocess.CalledProcessError(status, command)
        out.seek(0)
        return {"s": wall, "cpu_s": usage.ru_utime + usage.ru_stime, "MB": usage.ru_maxrss / 1024}, out.read()


def measured(name: str, bench: str, home: Path, repeats: int, save: Path | None) -> dict[str, Any]:
    """Return cold, and the least of the warm, seconds of a command. Save its output if asked."""
    cache = home / "columns"
    shutil.rmtree(cache, ignore_errors=True)
    command = [bench, *COMMANDS[name]]
    cold, _ = timed(command, cache, home)
    turns = [timed(command, cache, home) for _ in range(repeats)]
    warm, text = min(turns, key=lambda turn: turn[0]["s"])
    if save:
        save.mkdir(parents=True, exist_ok=True)
        (save / f"{name}.txt").write_bytes(text)
        if "report" in name:
            shutil.copytree(home / "report", save / name, dirs_exist_ok=True)
        else:
            (save / f"{name}.json").write_bytes(timed([*command, "--json"], cache, home)[1])
    return {
        "command": name, **{f"cold {key}": value for key, value in cold.items()},
        **{f"warm {key}": value for key, value in warm.items()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--images", type=int, default=5_000)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--bench", default=str(Path(sys.executable).with_name("bench")))
    parser.add_argument("--only", nargs="+", choices=COMMANDS, default=list(COMMANDS))
    parser.add_argument("--save", type=Path)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    home = drawn_runs(asked.runs, asked.images)
    rows = [measured(name, asked.bench, home, asked.repeats, asked.save) for name in asked.only]
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    table = Table(title=f"{asked.images} images, {CLASSES} classes")
    for column in rows[0]:
        table.add_column(column)
    for row in rows:
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
