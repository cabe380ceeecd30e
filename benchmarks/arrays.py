"""PQ of maps in memory: this tool against the matching of panopticapi and torchmetrics, in one process on one core.

    python benchmarks/arrays.py [--pairs 20] [--large] [--json]

COCO-like pairs of 480x640 (`--large`: Cityscapes-like pairs of 1024x2048) from benchmarks/evaluator.py. Each evaluator
gets its own input: panopticapi RGB arrays and annotations, torchmetrics tensors of (category, instance), `bench` either
raw segment ids (`ids`) or the maps that its adapters make (`maps`). Milliseconds a pair, the best of three rounds. The
peers come with `pip install 'panoptic-bench[peers]'`.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from types import SimpleNamespace
from typing import Any

import numpy as np
from evaluator import CATEGORIES, made
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from bench.io import coco
from bench.metrics.pq import pq_stat
from bench.overlap import Overlap
from bench.types import Panoptic

ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Side:
    """One map of a pair: raw ids (H, W) int32, their annotation, and the same as a Panoptic."""

    ids: NDArray[np.int32]
    annotation: dict[str, Any]
    infos: coco.Infos
    panoptic: Panoptic


def sides(name: str, which: str, pairs: int) -> list[Side]:
    folder = made(name)
    file = coco.load_json(folder / f"{which}.json")
    found = []
    for image_id, annotation in list(file.annotations.items())[:pairs]:
        ids, infos = coco.read_ids(folder / which / annotation["file_name"]), file.segments[image_id]
        found.append(Side(ids, dict(annotation), infos, Panoptic.from_ids(ids, infos)))
    return found


def by_ids(truth: Side, prediction: Side) -> None:
    pq_stat(Overlap.of(Panoptic.from_ids(truth.ids, truth.infos), Panoptic.from_ids(prediction.ids, prediction.infos)))


def by_maps(truth: Side, prediction: Side) -> None:
    """Match with bench, from copies of Panoptic maps without cached values."""
    pq_stat(Overlap.of(_again(truth.panoptic), _again(prediction.panoptic)))


def _again(panoptic: Panoptic) -> Any:
    return SimpleNamespace(id_map=panoptic.id_map, segments_info=panoptic.segments_info, size=panoptic.size)


def panopticapi(pairs: Sequence[tuple[Side, Side]]) -> Callable[[Side, Side], None]:
    """Return panopticapi's matching, with its PNG reader replaced by arrays."""
    from panopticapi import evaluation

    def rgb(ids: NDArray[np.int32]) -> NDArray[np.uint8]:
        return np.stack([ids & 255, ids >> 8 & 255, ids >> 16], axis=-1).astype(np.uint8)

    images = {id(side): rgb(side.ids) for pair in pairs for side in pair}
    categories = {c["id"]: c for c in CATEGORIES}

    def work(truth: Side, prediction: Side) -> None:
        order = iter([images[id(truth)], images[id(prediction)]])
        evaluation.Image = SimpleNamespace(open=lambda _: next(order))
        with redirect_stdout(StringIO()):
            evaluation.pq_compute_single_core(0, [(truth.annotation, {**prediction.annotation})], "", "", categories)

    return work


def torchmetrics(pairs: Sequence[tuple[Side, Side]]) -> Callable[[Side, Side], None]:
    """Return torchmetrics' update and compute on tensors."""
    import torch
    from torchmetrics.detection import PanopticQuality

    torch.set_num_threads(1)
    things = {c["id"] for c in CATEGORIES if c["isthing"]}

    def tensor(side: Side) -> Any:
        classes = np.array([0, *(info.category_id for info in side.panoptic.segments_info)])
        return torch.from_numpy(np.stack([classes[side.panoptic.id_map], side.panoptic.id_map], -1))[None]

    images = {id(side): tensor(side) for pair in pairs for side in pair}
    stuff = {c["id"] for c in CATEGORIES} - things

    def work(truth: Side, prediction: Side) -> None:
        metric = PanopticQuality(things, stuff, allow_unknown_preds_category=True)
        metric.update(images[id(prediction)], images[id(truth)])
        metric.compute()

    return work


def measured(work: Callable[[Side, Side], None], pairs: Sequence[tuple[Side, Side]]) -> float:
    """Return milliseconds of processor time a pair."""
    best = float("inf")
    for _ in range(ROUNDS):
        start = time.process_time()
        for truth, prediction in pairs:
            work(truth, prediction)
        best = min(best, time.process_time() - start)
    return 1000 * best / len(pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--large", action="store_true")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    name = "city20" if asked.large else "coco20"
    pairs = list(zip(sides(name, "gt", asked.pairs), sides(name, "pred", asked.pairs), strict=True))
    found = {"bench, maps": measured(by_maps, pairs), "bench, ids": measured(by_ids, pairs)}
    found["panopticapi"] = measured(panopticapi(pairs), pairs)
    few = pairs[:2]  # seconds an image
    found["torchmetrics"] = measured(torchmetrics(few), few)
    rows = [{"evaluator": who, "ms a pair": ms, "ratio": ms / found["bench, maps"]} for who, ms in found.items()]
    if asked.json:
        print(json.dumps(rows, indent=1))
        return
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{value:.2f}" if isinstance(value, float) else value for value in row.values()))
    Console().print(table)


if __name__ == "__main__":
    main()
