"""Panoptic quality on scenes held back from training: what a choice of thresholds or models may look at."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.fusion.presets import FusionSpec
from bench.fusion.queries import Frame, fuse
from bench.metrics.pq import PQTable, Tally, pq_table, tally, total
from bench.overlap import Overlap
from bench.recipes.augment import to_input
from bench.types import Categories, Sample

SCORE_THRESHOLDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
OVERLAP_THRESHOLDS = (0.5, 0.65, 0.8)


def logits_of(model: Any, sample: Sample, upscale: int) -> tuple[Tensor, Tensor, Frame]:
    """(Q, C + 1) class and (Q, h, w) mask logits of a sample; `model` is in eval mode."""
    rgb = sample.read_image().rgb
    pixels = to_input(rgb[None].astype(np.float32), upscale)
    with torch.inference_mode():
        out = model(pixel_values=pixels)
    height, width = int(pixels.shape[-2]), int(pixels.shape[-1])
    frame = Frame((height, width), (height, width), (rgb.shape[0], rgb.shape[1]))
    return out.class_queries_logits[0], out.masks_queries_logits[0], frame


def qualities(
    model: Any, samples: Sequence[Sample], categories: Categories, upscale: int,
    fusions: Sequence[FusionSpec], threads: int,
) -> list[PQTable]:  # fmt: skip
    """PQ, SQ and RQ of the model on the samples by each way of fusion; leaves the model in eval mode."""
    model.eval()

    def one(sample: Sample) -> list[dict[int, Tally]]:
        torch.set_num_threads(1)  # it counts for the calling thread alone
        classes, masks, frame = logits_of(model, sample, upscale)
        truth = sample.read_target()
        return [tally(Overlap.of(truth, fuse(classes, masks, frame, categories, f))) for f in fusions]

    with ThreadPoolExecutor(threads) as pool:
        images = list(pool.map(one, samples))
    return [pq_table(total(column), categories) for column in zip(*images, strict=True)]


def choose_fusion(
    model: Any, samples: Sequence[Sample], categories: Categories, upscale: int, preset: FusionSpec, threads: int
) -> tuple[FusionSpec, PQTable]:
    """The thresholds with the best PQ on the samples, and that PQ; the preset's own are among them."""
    candidates = [preset] + [
        replace(preset, score_threshold=score, overlap_threshold=overlap)
        for score in SCORE_THRESHOLDS
        for overlap in OVERLAP_THRESHOLDS
    ]
    tables = qualities(model, samples, categories, upscale, candidates, threads)
    best = max(range(len(candidates)), key=lambda i: tables[i].all.pq or 0.0)
    return candidates[best], tables[best]
