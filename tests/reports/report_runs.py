"""Small finished runs for the tests of reports, written as a real run writes them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.io.canonical_json import to_plain
from bench.metrics.score import score
from bench.overlap import Overlap
from bench.results.line_digests import json_line
from bench.results.run import Run, read_run
from bench.results.writer import RunWriter
from bench.types import Categories, Category, Panoptic

SPACE = Categories(
    (
        Category(1, "car", isthing=True, color=(0, 0, 142)),
        Category(2, "road", isthing=False, color=(128, 64, 128)),
    )
)
PUBLISHED = {"dataset": "toy", "PQ": 0.666, "mIoU": None, "source": "the paper"}
GIT = {"commit": "0123456789abcdef0123456789abcdef01234567", "dirty": False}
MODEL = {
    "name": "m", "adapter": "a:B", "method": "one-shot", "checkpoint": "toy/tiny", "precision": "fp32",
    "input": {"shorter": 256, "longer": 512, "divisor": 32},
    "fusion": {
        "rule": "mask2former", "score_threshold": 0.8, "overlap_threshold": 0.8, "mask_threshold": 0.5,
        "min_area_px": 0, "inner_size": None, "fuse_stuff": True,
    },
    "published": PUBLISHED,
}  # fmt: skip


def meta(name: str, space: Categories = SPACE, **changes: Any) -> dict[str, Any]:
    """What run.json holds, with top-level fields changed."""
    return {
        "name": name,
        "model": MODEL,
        "device": "cpu",
        "parameters": 2_345_678,
        "multiply_adds": 3_935_686_144,
        "dataset": {"name": "toy", "split": "val", "categories": to_plain(space.items)},
        "provenance": {"git": GIT},
        "rules": {"semantic_rule": "cityscapes"},
    } | changes


def values(pq: float | None, **more: float | None) -> dict[str, Any]:
    """A score of the two classes where everything that is not told is `pq`."""
    qualities = {name: more.get(name, pq) for name in ("PQ", "SQ", "RQ")}
    per_class = [
        {"category_id": c.id, "name": c.name, "isthing": c.isthing, **qualities, "TP": 2, "FP": 1, "FN": 1,
         "IoU": {"semantic": more.get("semantic"), "panoptic": pq}}
        for c in SPACE
    ]  # fmt: skip
    return {
        "PQ": {group: {**qualities, "n": 0 if pq is None else 1} for group in ("all", "things", "stuff")},
        "mIoU": {"semantic": more.get("semantic"), "panoptic": pq},
        "pixel_accuracy": {"semantic": None, "panoptic": pq},
        "frequency_weighted_IoU": {"semantic": None, "panoptic": pq},
        "per_class": per_class,
        "images": 4,
        "protocol": "coco",
        "reference_deviations": [],
    }


def finished(
    folder: Path, about: dict[str, Any], total: dict[str, Any], key: str = "a", lines: Sequence[Any] = ()
) -> Run:
    """A complete run with this score; `key` stands for the truth that it was scored on."""
    with RunWriter(folder, about) as writer:
        for line in lines:
            writer.append([line["image_id"]], [json_line(line)], [{}])
        writer.finish(total, {"truth": key})
    return read_run(folder)


def line(image_id: str, truth: Panoptic, prediction: Panoptic) -> dict[str, Any]:
    """The image line of a pair of maps."""
    return {"image_id": image_id, "group": "g", "truth": "t", "semantic": None,
            "overlap": Overlap.of(truth, prediction).to_json()}  # fmt: skip


def total(lines: Sequence[dict[str, Any]], space: Categories = SPACE) -> dict[str, Any]:
    """The score of image lines."""
    return score(lines, space, "cityscapes").to_json()
