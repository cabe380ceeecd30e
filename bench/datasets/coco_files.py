"""A data set from any COCO panoptic JSON and its PNGs: ground truth to score against, without images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NoReturn

from bench.datasets.dataset import Dataset
from bench.errors import DataError
from bench.formats import coco
from bench.formats.coco import PanopticFile
from bench.types import Sample


def coco_truth(file: Path, folder: Path) -> Dataset:
    """The annotations of `file` in its own order; mIoU by detectron2's rule, as COCO's is reported."""
    truth = coco.load_json(file)
    samples = tuple(
        Sample(image_id, "", partial(_no_image, image_id), target, target_files=(file, target.png))
        for image_id, target in ((image_id, _target(folder, truth, image_id)) for image_id in truth.annotations)
    )
    return Dataset(file.stem, "files", truth.categories, samples, "detectron2")


def _target(folder: Path, truth: coco.CocoPanoptic, image_id: str) -> PanopticFile:
    annotation, listed = truth.annotations[image_id], truth.segments[image_id]
    return PanopticFile(folder / annotation["file_name"], annotation, truth.categories.index_of, True, listed)


def _no_image(image_id: str) -> NoReturn:
    raise DataError(f"image {image_id!r}: only its ground truth was given, no picture")
