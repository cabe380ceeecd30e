"""Check of a data set in Cityscapes' layout: images and instanceIds, and files without counterpart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.datasets.check.common import CheckOptions, check_picture, check_void, pixels_of, self_tally
from bench.datasets.check.findings import CheckAccumulator, CheckReport, Finding, ImageCheck
from bench.datasets.cityscapes import IMAGE_SUFFIX, panoptic_of
from bench.datasets.label_spaces import LabelSpace
from bench.errors import DataError
from bench.io.images import read_labels, read_rgb
from bench.io.pictures import Pictures
from bench.metrics.pq import PQStat

LABEL_SUFFIX = "_gtFine_instanceIds.png"
TRAIN_IDS = frozenset([*range(19), 255])  # labels.py of cityscapesScripts


def check_cityscapes(
    name: str, root: Path, split: str, space: LabelSpace, walk: CheckOptions, bits: int | None = None
) -> CheckReport:
    pictures = _files(root / "leftImg8bit" / split, IMAGE_SUFFIX)
    labels = _files(root / "gtFine" / split, LABEL_SUFFIX)
    totals = CheckAccumulator([*_pairs(pictures, labels), *_twice(pictures, labels)], {}, {})
    first = {image_id: paths[0] for image_id, paths in pictures.items()}
    jobs = [(image_id, paths[0]) for image_id, paths in labels.items()]
    walk.run(jobs, partial(_check_image, first, Pictures(list(first.values()), bits), space), totals)
    return totals.report(name, space.evaluated)


def _files(folder: Path, suffix: str) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(f"*/*{suffix}")):
        found.setdefault(path.name.removesuffix(suffix), []).append(path)
    return found


def _pairs(pictures: Mapping[str, list[Path]], labels: Mapping[str, list[Path]]) -> Iterator[Finding]:
    for image_id in sorted(pictures.keys() - labels.keys()):
        yield Finding("picture-without-label", f"it has no *{LABEL_SUFFIX}", image_id, str(pictures[image_id][0]))
    for image_id in sorted(labels.keys() - pictures.keys()):
        yield Finding("label-without-picture", f"it has no *{IMAGE_SUFFIX}", image_id, str(labels[image_id][0]))


def _twice(*files: Mapping[str, list[Path]]) -> Iterator[Finding]:
    for by_image in files:
        for image_id, paths in by_image.items():
            if len(paths) > 1:
                yield Finding("picture-twice", f"also {paths[0]}", image_id, str(paths[1]))


def _check_image(first: Mapping[str, Path], pictures: Pictures, space: LabelSpace, job: tuple[str, Path]) -> ImageCheck:
    image_id, path = job
    labels, findings = _read(path)
    if image_id in first:
        size = None if labels is None else (int(labels.shape[0]), int(labels.shape[1]))
        findings += check_picture(image_id, first[image_id], pictures, size)
    pixels: dict[int, int] = {}
    tally: dict[int, PQStat] = {}
    image_px = 0
    if labels is not None:
        faults = _values(labels, space)
        findings += faults
        if not faults:
            panoptic = panoptic_of(labels, space)
            findings += check_void(panoptic)
            pixels, tally, image_px = dict(pixels_of(panoptic)), dict(self_tally(panoptic)), labels.size
    return ImageCheck(tuple(finding.at(image_id, path) for finding in findings), pixels, tally, image_px)


def _read(path: Path) -> tuple[NDArray[np.int32] | None, list[Finding]]:
    try:
        return read_labels(path), []
    except DataError as error:
        try:
            # A PNG that decodes as colours is intact, but the wrong kind of label.
            read_rgb(path)
        except DataError:
            return None, [Finding("label-unreadable", str(error))]
        return None, [Finding("label-format", str(error))]


def _values(labels: NDArray[np.int32], space: LabelSpace) -> list[Finding]:
    values, counts = np.unique(labels, return_counts=True)
    pairs = list(zip(values.tolist(), counts.tolist(), strict=True))
    found = [finding for value, pixels in pairs if (finding := _value(value, pixels, space)) is not None]
    # Train ids are valid label ids of other classes: single findings would hide the cause.
    if found and set(values.tolist()) <= TRAIN_IDS:
        pixels = int(counts[values != 255].sum())
        return [Finding("label-train-ids", f"the values are {values.tolist()}", pixels=pixels)]
    return found


def _value(value: int, pixels: int, space: LabelSpace) -> Finding | None:
    label = value if value < 1000 else value // 1000
    if label in space.void_ids:
        return None
    index = space.evaluated.index_of.get(label)
    if index is None:
        return Finding("label-unknown", f"value {value} is not a label of this space", pixels=pixels)
    if value >= 1000 and not space.evaluated.items[index].isthing:
        return Finding("stuff-instance", f"value {value} has an instance number, but its class is stuff", pixels=pixels)
    return None
