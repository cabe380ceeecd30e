"""Panoptic quality on scenes held back from training: what a choice of thresholds or models may look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
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


def logits_of(model: Any, sample: Sample, upscale: int) -> tuple[Tensor, Tensor, Frame]:
    """(Q, C + 1) class and (Q, h, w) mask logits of a sample; `model` is in eval mode."""
    rgb = sample.read_image().rgb
    pixels = to_input(rgb[None].astype(np.float32), upscale)
    with torch.inference_mode():
        out = model(pixel_values=pixels)
    height, width = int(pixels.shape[-2]), int(pixels.shape[-1])
    frame = Frame((height, width), (height, width), (rgb.shape[0], rgb.shape[1]))
    return out.class_queries_logits[0], out.masks_queries_logits[0], frame


def quality(
    model: Any, samples: Sequence[Sample], categories: Categories, upscale: int, fusion: FusionSpec, threads: int
) -> PQTable:
    """PQ, SQ and RQ of the model on the samples; leaves it in eval mode."""
    model.eval()

    def one(sample: Sample) -> Mapping[int, Tally]:
        torch.set_num_threads(1)
        classes, masks, frame = logits_of(model, sample, upscale)
        return tally(Overlap.of(sample.read_target(), fuse(classes, masks, frame, categories, fusion)))

    with ThreadPoolExecutor(threads) as pool:
        return pq_table(total(pool.map(one, samples)), categories)
