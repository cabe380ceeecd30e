"""The stored statistics of one image, computed from a sample and a prediction."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.io.coco import PanopticFile
from bench.io.png_runs import join, panoptic_digest
from bench.io.truth_runs import TruthRuns
from bench.metrics.boundary import boundary_column
from bench.metrics.semantic import Rows, category_indices, confusion, semantic_from_panoptic
from bench.overlap import Overlap
from bench.results.line_digests import json_line
from bench.types import Categories, Panoptic, Prediction, Sample

Metrics = Sequence[str]  # optional metrics: "boundary"
Truth = Panoptic | NDArray[np.int32]  # segments, or (H, W) category ids with any other id as void


def truth_digest(truth: Truth) -> str:
    """Return 16 hex digits that identify a ground truth: its size, its pixels and, if panoptic, its segments."""
    hasher = hashlib.blake2b(digest_size=8)
    if isinstance(truth, np.ndarray):
        hasher.update(json_line(["semantic", list(truth.shape)]).encode())
        hasher.update(np.ascontiguousarray(truth, dtype=np.int32).tobytes())
        return hasher.hexdigest()
    return panoptic_digest(truth.size, truth.segments_info + truth.absent, truth.runs)


def image_line(sample: Sample, prediction: Prediction, categories: Categories, metrics: Metrics = ()) -> dict[str, Any]:
    """Return the image line of a sample: all that any metric needs of one image.

    `metrics` names optional columns ("boundary"). "overlap" is None if the truth is semantic labels (no PQ), and
    "semantic" is None if the prediction has no semantic map. Raises DataError if the sizes differ.
    """
    truth = sample.read_target() if sample.read_semantic is None else sample.read_semantic()
    _check_fits(sample, truth, prediction)
    semantic = None
    if prediction.semantic is not None:
        semantic = confusion(_class_positions(truth, categories), prediction.semantic, categories)
    extra = {}
    if isinstance(truth, Panoptic) and "boundary" in metrics:
        extra["boundary"] = boundary_column(truth, prediction.panoptic)
    overlap = Overlap.of(truth, prediction.panoptic) if isinstance(truth, Panoptic) else None
    return {**_line(sample, truth_digest(truth), overlap, semantic), **extra}


def image_line_from_files(
    sample: Sample, prediction: PanopticFile, cache: TruthRuns | None = None
) -> dict[str, Any] | None:
    """Return `image_line` computed from the runs of the two PNGs, without decoding them to arrays.

    None if the truth is not a panoptic PNG or the runs of the two files cannot be joined.
    """
    if not isinstance(sample.read_target, PanopticFile) or sample.read_semantic is not None:
        return None
    joined = join(sample.read_target, prediction, cache)
    return None if joined is None else _line(sample, joined.truth, joined.overlap, None)


def _line(sample: Sample, truth: str, overlap: Overlap | None, semantic: Rows | None) -> dict[str, Any]:
    return {
        "image_id": sample.image_id,
        "group": sample.group,
        "truth": truth,
        "overlap": overlap,
        "semantic": semantic,
    }


def _class_positions(truth: Truth, categories: Categories) -> NDArray[np.int32]:
    """Return (H, W) indices into `categories`; void is C, the number of categories."""
    if isinstance(truth, Panoptic):
        return semantic_from_panoptic(truth, categories)
    return category_indices(truth, categories)


def _check_fits(sample: Sample, truth: Truth, prediction: Prediction) -> None:
    if not isinstance(truth, Panoptic) and prediction.semantic is None:
        raise DataError(
            f"image {sample.image_id!r}: its truth is semantic and the prediction has no semantic map, so that neither "
            "PQ nor mIoU can be computed; take a model with a semantic output, or a data set with instances"
        )
    size = truth.size if isinstance(truth, Panoptic) else truth.shape
    maps = {"panoptic prediction": prediction.panoptic.id_map, "semantic prediction": prediction.semantic}
    for name, map_ in maps.items():
        if map_ is not None and map_.shape != size:
            raise DataError(
                f"image {sample.image_id!r}: the ground truth is {size} and the {name} {map_.shape} (H, W) px; "
                "both must have the size of the image; replace the wrong one"
            )
