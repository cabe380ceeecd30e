"""Synthetic predictions: ground truth with random errors, as an upper bound and a test double for metrics."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from bench.datasets.dataset import Dataset
from bench.parallel import ordered_map
from bench.results.prediction_writer import PredictionWriter
from bench.types import Categories, IdMap, Panoptic, Prediction, ProgressCallback, Sample, SegmentInfo


@dataclass(frozen=True)
class Damage:
    """Probability (0..1) of each error per segment; `jitter` is the maximum shift of its mask in pixels."""

    drop: float = 0.03
    split: float = 0.02
    merge: float = 0.02
    relabel: float = 0.02
    void: float = 0.03
    jitter: int = 1


def damage(truth: Panoptic, categories: Categories, faults: Damage, rng: np.random.Generator) -> Panoptic:
    """Return a prediction made from the ground truth by random errors. Crowd regions are dropped."""
    ids = np.zeros_like(truth.id_map)
    infos: dict[int, SegmentInfo] = {}
    # Large segments first, so that a moved mask of stuff does not cover the things on it.
    order = sorted(range(len(truth.segments_info)), key=lambda i: -int(truth.areas[i]))
    for position in order:
        info = truth.segments_info[position]
        if info.iscrowd or rng.random() < faults.drop:
            continue
        mask = _moved(truth.id_map == position + 1, faults.jitter, rng)
        _paint(ids, infos, mask, info.category_id, categories, faults, rng)
    return _compact(ids, infos)


def _paint(
    ids: IdMap,
    infos: dict[int, SegmentInfo],
    mask: np.ndarray,
    category: int,
    categories: Categories,
    faults: Damage,
    rng: np.random.Generator,
) -> None:
    if rng.random() < faults.relabel:
        category = categories.items[int(rng.integers(len(categories)))].id
    score = float(rng.integers(60, 100)) / 100
    same = [i for i, info in infos.items() if info.category_id == category]
    isthing = categories.items[categories.index_of[category]].isthing
    # A stuff class is one segment of an image, as panopticapi expects it.
    if same and (not isthing or rng.random() < faults.merge):
        ids[mask] = same[-1]
    else:
        infos[len(infos) + 1] = SegmentInfo(category, score=score)
        ids[mask] = len(infos)
    columns = np.flatnonzero(mask.any(axis=0))
    if isthing and len(columns) > 1 and rng.random() < faults.split:
        infos[len(infos) + 1] = SegmentInfo(category, score=score)
        right = mask.copy()
        right[:, : columns[len(columns) // 2]] = False
        ids[right] = len(infos)
    if rng.random() < faults.void:
        ids[mask & (rng.random(mask.shape) < 0.5)] = 0


def _moved(mask: np.ndarray, jitter: int, rng: np.random.Generator) -> np.ndarray:
    """Return an (H, W) bool mask shifted by up to `jitter` pixels; pixels outside the image are lost."""
    down, right = (int(v) for v in rng.integers(-jitter, jitter + 1, 2))
    moved = np.zeros_like(mask)
    height, width = mask.shape
    to = (slice(max(down, 0), height + min(down, 0)), slice(max(right, 0), width + min(right, 0)))
    source = (slice(max(-down, 0), height - max(down, 0)), slice(max(-right, 0), width - max(right, 0)))
    moved[to] = mask[source]
    return moved


def _compact(ids: IdMap, infos: dict[int, SegmentInfo]) -> Panoptic:
    # Later segments may have painted over all pixels of an earlier one.
    visible = np.bincount(ids.ravel(), minlength=len(infos) + 1)
    return Panoptic.from_ids(ids, {i: info for i, info in infos.items() if visible[i]})


def damage_dataset(
    dataset: Dataset,
    out: Path,
    *,
    seed: int = 0,
    faults: Damage | None = None,
    on_image: ProgressCallback | None = None,
) -> Path:
    """Write damaged ground truth of every image as predictions; errors depend only on the image id and `seed`."""
    work = partial(_damaged, categories=dataset.categories, faults=faults or Damage(), seed=seed)
    with PredictionWriter(out, fresh=True) as writer:
        for done, (sample, panoptic) in enumerate(ordered_map(work, dataset.samples, workers=2), 1):
            writer.write(sample.image_id, Prediction(panoptic))
            if on_image:
                on_image(done, len(dataset.samples))
        writer.finish([sample.image_id for sample in dataset.samples], dataset.categories)
    return out


def _damaged(sample: Sample, categories: Categories, faults: Damage, seed: int) -> tuple[Sample, Panoptic]:
    # From the id and not from the position: an image has the same errors in any subset of the data set.
    key = hashlib.sha256(f"{seed}/{sample.image_id}".encode()).digest()[:8]
    rng = np.random.Generator(np.random.PCG64(int.from_bytes(key, "big")))
    return sample, damage(sample.read_target(), categories, faults, rng)
