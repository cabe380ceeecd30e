"""A data set of any layout, through its loader: what the picture and the truth of each image say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from bench.check.findings import CheckReport, Finding, ImageCheck, Totals
from bench.check.maps import Size, check_size, check_void, pixels_of, self_tally
from bench.check.walk import Walk
from bench.datasets.dataset import Dataset
from bench.errors import DataError
from bench.types import Sample


def check_samples(data: Dataset, walk: Walk) -> CheckReport:
    """Loaders stop at the first fault of a file, so there is one finding for each that they refuse."""
    totals = Totals([], {}, {})
    walk.over(data.samples, _check_sample, totals)
    return totals.report(f"{data.name}:{data.split}", data.categories)


def _check_sample(sample: Sample) -> ImageCheck:
    try:
        truth = _semantic(sample.read_semantic()) if sample.read_semantic else _panoptic(sample)
        size, image = truth
    except DataError as error:
        size, image = None, ImageCheck((Finding("label-unreadable", str(error)),), {}, {})
    found = (*image.findings, *_picture(sample, size))
    placed = tuple(Finding(f.fault, f.what, sample.image_id, f.file, f.pixels) for f in found)
    return ImageCheck(placed, image.pixels, image.tally)


def _panoptic(sample: Sample) -> tuple[Size, ImageCheck]:
    panoptic = sample.read_target()
    check = ImageCheck(tuple(check_void(panoptic)), pixels_of(panoptic), self_tally(panoptic))
    return panoptic.size, check


def _semantic(ids: NDArray[np.int32]) -> tuple[Size, ImageCheck]:
    """(H, W) category ids; those of no category are void, and nobody's pixels in the totals."""
    numbers, pixels = np.unique(ids, return_counts=True)
    found = dict(zip(numbers.tolist(), pixels.tolist(), strict=True))
    return (int(ids.shape[0]), int(ids.shape[1])), ImageCheck((), found, {})


def _picture(sample: Sample, label: Size | None) -> list[Finding]:
    try:
        size = sample.read_image().size
    except DataError as error:
        return [Finding("picture-unreadable", str(error))]
    return [] if label is None else check_size(label, size, "size-picture", "the picture")
