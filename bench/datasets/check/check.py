"""Check of a data set of any layout, by its own check or by its loader."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.datasets.check.cityscapes import LABEL_SUFFIX, check_cityscapes
from bench.datasets.check.coco import check_coco
from bench.datasets.check.common import CheckOptions, Size, check_picture, check_void, pixels_of, self_tally
from bench.datasets.check.findings import CheckAccumulator, CheckReport, Finding, ImageCheck
from bench.datasets.coco import CocoFiles
from bench.datasets.dataset import Dataset, DatasetSpec, coco_files, parse_dataset_name, plain_spec
from bench.datasets.label_spaces import FROM_FILE, load_space
from bench.datasets.registry import load_dataset, read_derived
from bench.errors import DataError, error_context
from bench.io.archive import Member
from bench.io.pictures import Pictures
from bench.types import Sample


def check_samples(data: Dataset, walk: CheckOptions) -> CheckReport:
    """Check samples through their loader, which reports only the first fault of a file."""
    totals = CheckAccumulator([], {}, {})
    walk.run(data.samples, partial(_check_sample, data.pictures), totals)
    return totals.report(f"{data.name}:{data.split}", data.categories)


def _check_sample(pictures: Pictures, sample: Sample) -> ImageCheck:
    try:
        truth = _semantic(sample.read_semantic()) if sample.read_semantic else _panoptic(sample)
        size, image = truth
    except DataError as error:
        size, image = None, ImageCheck((Finding("label-unreadable", str(error)),), {}, {})
    found = (*image.findings, *_picture(sample, pictures, size))
    placed = tuple(Finding(f.fault, f.what, sample.image_id, f.file, f.pixels) for f in found)
    return replace(image, findings=placed, image_px=0 if size is None else size[0] * size[1])


def _panoptic(sample: Sample) -> tuple[Size, ImageCheck]:
    panoptic = sample.read_target()
    check = ImageCheck(tuple(check_void(panoptic)), pixels_of(panoptic), self_tally(panoptic))
    return panoptic.size, check


def _semantic(ids: NDArray[np.int32]) -> tuple[Size, ImageCheck]:
    """Count the pixels of (H, W) category ids. Other ids are void and not in the report."""
    numbers, pixels = np.unique(ids, return_counts=True)
    found = dict(zip(numbers.tolist(), pixels.tolist(), strict=True))
    return (int(ids.shape[0]), int(ids.shape[1])), ImageCheck((), found, {})


def _picture(sample: Sample, pictures: Pictures, label: Size | None) -> list[Finding]:
    file = sample.image_file
    return check_picture(sample.image_id, file, pictures, label) if isinstance(file, Path | Member) else []


def check_dataset(name: str, root: Path | None = None, walk: CheckOptions | None = None) -> CheckReport:
    """Return all findings of a data set. Raise DataError if it cannot be located or loaded."""
    walk = walk or CheckOptions()
    path, asked = parse_dataset_name(name)
    if read_derived(path) is None:
        spec, split = plain_spec(path, asked)
        if spec.layout == "coco":
            with error_context(path):
                return _coco(path.stem, spec, split, root, walk)
        folder = spec.ready(path.stem, root, split, walk.on_image)
        if spec.layout == "cityscapes" and _has_instance_ids(folder, split):
            with error_context(path):
                space = load_space(spec.labels).with_void_as_classes(spec.count)
            return check_cityscapes(f"{path.stem}:{split}", folder, split, space, walk, spec.bits)
    return check_samples(load_dataset(name, root), walk)


def check_files(gt: Path, gt_dir: Path, walk: CheckOptions | None = None) -> CheckReport:
    """Check a COCO panoptic JSON and its PNGs, in the categories that it lists, without images."""
    return check_coco(gt.name, CocoFiles(gt, gt_dir, None), None, walk or CheckOptions())


def _coco(name: str, spec: DatasetSpec, split: str, root: Path | None, walk: CheckOptions) -> CheckReport:
    space = None if spec.labels == FROM_FILE else load_space(spec.labels).evaluated
    return check_coco(f"{name}:{split}", coco_files(name, spec, split, root, walk.on_image), space, walk, spec.bits)


def _has_instance_ids(root: Path, split: str) -> bool:
    """Return whether a split has instanceIds. If not, the loader reads createPanopticImgs' JSON or raises."""
    return any((root / "gtFine" / split).glob(f"*/*{LABEL_SUFFIX}"))
