"""Cityscapes: folder layout and decoding of instanceIds.

`*_instanceIds.png` (16 bit): a thing instance is labelId * 1000 + n with n from 0. Stuff, and groups of things without
separate instances, are the bare labelId. Source: cityscapesScripts, preparation/json2instanceImg.py and
createPanopticImgs.py (groups are iscrowd, ignored labels void).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.datasets.label_spaces import LabelSpace
from bench.errors import DataError, error_context
from bench.io import coco
from bench.io.images import read_labels
from bench.io.pictures import Pictures
from bench.types import Panoptic, Readable, Sample, SegmentInfo

MAX_ID = 1 << 16


def panoptic_of(instance_ids: NDArray[np.integer], space: LabelSpace) -> Panoptic:
    """Convert (H, W) instanceIds to a Panoptic. Raise DataError for values that are not valid in `space`."""
    low, high = (int(instance_ids.min()), int(instance_ids.max())) if instance_ids.size else (0, 0)
    if low < 0 or high >= MAX_ID:
        raise DataError(f"instanceIds hold {low}..{high}; 16 bits were expected")
    counts = np.bincount(instance_ids.ravel(), minlength=high + 1)
    table = np.zeros(high + 1, dtype=np.int32)
    segments: list[SegmentInfo] = []
    for value in np.flatnonzero(counts).tolist():
        info = _segment(value, space, int(counts[value]))
        if info is not None:
            segments.append(info)
            table[value] = len(segments)
    return Panoptic(table[instance_ids], tuple(segments))


def _segment(value: int, space: LabelSpace, pixels: int) -> SegmentInfo | None:
    """Return the segment of one value of instanceIds, or None if it is void."""
    label = value if value < 1000 else value // 1000
    if label in space.void_ids:
        return None
    index = space.evaluated.index_of.get(label)
    if index is None:
        raise DataError(f"value {value} ({pixels} pixels) is not a label of this space")
    isthing = space.evaluated.items[index].isthing
    if value >= 1000 and not isthing:
        raise DataError(f"value {value} ({pixels} pixels) has an instance number, but its class is stuff")
    # createPanopticImgs.py: a bare label of a class with instances is a group (iscrowd 1).
    return SegmentInfo(label, iscrowd=isthing and value < 1000, source_id=value)


IMAGE_SUFFIX = "_leftImg8bit.png"

Truth = tuple[Callable[[], Panoptic], tuple[Readable, ...]]  # function that reads it, and its files


def samples(
    root: Path, split: str, space: LabelSpace, remedy: str, bits: int | None = None
) -> tuple[tuple[Sample, ...], Pictures]:
    """Return the samples of a split by city and name, and their pictures.

    Opens no image; raises DataError if files are missing.
    """
    images = _images(root / "leftImg8bit" / split, remedy)
    # instanceIds first, as they are part of every download; the JSON is made from them by a script.
    truth_of = _instance_ids(root, split, space) or _panoptic_json(root, split, space)
    if truth_of is None:
        raise DataError(f"{root / 'gtFine' / split}: no *_gtFine_instanceIds.png here.\n{remedy}")
    # All at once and before any work, as for COCO.
    missing = [image_id for image_id in images if image_id not in truth_of]
    if missing:
        raise DataError(
            f"{root / 'gtFine' / split}: {len(missing)} images have no ground truth, "
            f"first {missing[0]!r}; unpack the annotations again"
        )
    pictures = Pictures(list(images.values()), bits)
    return tuple(
        Sample(image_id, path.parent.name, partial(pictures.read, image_id, path), read, image_file=path,
               target_files=files)
        for image_id, path in images.items()
        for read, files in [truth_of[image_id]]
    ), pictures  # fmt: skip


def _images(folder: Path, remedy: str) -> dict[str, Path]:
    paths = sorted(folder.glob(f"*/*{IMAGE_SUFFIX}"))
    if not paths:
        raise DataError(f"{folder}: no images (<city>/*{IMAGE_SUFFIX}) here.\n{remedy}")
    return {path.name.removesuffix(IMAGE_SUFFIX): path for path in paths}


def _instance_ids(root: Path, split: str, space: LabelSpace) -> dict[str, Truth] | None:
    suffix = "_gtFine_instanceIds.png"
    paths = sorted((root / "gtFine" / split).glob(f"*/*{suffix}"))
    return {path.name.removesuffix(suffix): (partial(_read_instances, path, space), (path,)) for path in paths} or None


def _read_instances(path: Path, space: LabelSpace) -> Panoptic:
    with error_context(path):
        return panoptic_of(read_labels(path), space)


def _panoptic_json(root: Path, split: str, space: LabelSpace) -> dict[str, Truth] | None:
    """Read the JSON of createPanopticImgs, with label ids or (`_trainId`) train ids; None if there is none."""
    for stem in (f"cityscapes_panoptic_{split}", f"cityscapes_panoptic_{split}_trainId"):
        path = root / "gtFine" / f"{stem}.json"
        if path.is_file():
            truth = coco.load_json(path, is_truth=True)
            label_of, folder = _label_ids(path, truth.categories, space), root / "gtFine" / stem
            return {
                image_id: (partial(_read_panoptic, folder, one, label_of), (path, folder / one["file_name"]))
                for image_id, one in truth.annotations.items()
            }
    return None


def _label_ids(path: Path, categories: Any, space: LabelSpace) -> dict[int, int]:
    """Map category ids of the file to label ids, by name since train ids look like label ids."""
    by_name = {category.name: category.id for category in space.categories}
    unknown = [category.name for category in categories if category.name not in by_name]
    if unknown:
        raise DataError(f"{path}: category {unknown[0]!r} is not one of this label space")
    return {category.id: by_name[category.name] for category in categories}


def _read_panoptic(folder: Path, annotation: Mapping[str, Any], label_of: Mapping[int, int]) -> Panoptic:
    source = coco.read_panoptic(folder / annotation["file_name"], annotation, label_of, is_truth=True)
    infos, absent = (
        tuple(s._replace(category_id=label_of[s.category_id], score=None) for s in segments)
        for segments in (source.segments_info, source.absent)
    )
    return Panoptic(source.id_map, infos, absent)
