"""Samples of a data set in COCO panoptic format: JSON, PNGs and images, in folders or zip archives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from bench.datasets.label_spaces import LabelSpace
from bench.errors import DataError, UsageError
from bench.io import coco
from bench.io.archive import File, check_inside, exists, locate
from bench.io.images import read_rgb
from bench.types import Categories, Image, Sample


@dataclass(frozen=True)
class CocoPlaces:
    """Paths of a split below the root, tried in order. A path component ending in .zip is read as a folder."""

    json: tuple[str, ...]
    panoptic: tuple[str, ...]
    images: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for place in (*self.json, *self.panoptic, *self.images):
            if PurePosixPath(place).is_absolute():
                raise UsageError(f"the place {place!r} is not below the root; give --data-root and what lies below it")


@dataclass(frozen=True, eq=False)
class CocoFiles:
    """Files of a split that exist. A split without images can be scored and checked."""

    json: File
    panoptic: File
    images: File | None

    def png(self, annotation: Mapping[str, Any]) -> File:
        return self.panoptic / str(annotation["file_name"])

    def picture(self, annotation: Mapping[str, Any], listed: Mapping[str, Any] | None) -> File | None:
        """Return the image of an annotation, or None if the split has no images.

        Its name is the `file_name` in `listed`, else that of the PNG with .jpg.
        """
        if self.images is None:
            return None
        name = listed.get("file_name") if listed else None
        return self.images / str(name or PurePosixPath(str(annotation["file_name"])).with_suffix(".jpg"))


def open_files(root: Path, places: CocoPlaces, remedy: str) -> CocoFiles:
    """Return the first existing path of each kind. Raise DataError if there is none."""
    images = _first(root, places.images, "pictures", remedy) if places.images else None
    return CocoFiles(
        _first(root, places.json, "JSON", remedy), _first(root, places.panoptic, "panoptic PNGs", remedy), images
    )


def _first(root: Path, places: tuple[str, ...], what: str, remedy: str) -> File:
    for place in places:
        file = locate(root, place)
        if exists(file):
            return file
    raise DataError(f"{root}: no {what}; looked for {', '.join(places)}.\n{remedy}")


def samples(files: CocoFiles, space: LabelSpace | None) -> tuple[tuple[Sample, ...], Categories]:
    """Return the samples in JSON order, and their categories: those of `space`, or the JSON's own if it is None."""
    truth = coco.load_json(files.json)
    categories = truth.categories if space is None else _agreed(truth, space.evaluated)
    pictures = {image_id: _picture(files, truth, image_id) for image_id in truth.annotations}
    missing = [path for path in pictures.values() if path is not None and not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(pictures)} pictures are missing, first {missing[0]}; unpack them again"
        )
    known = truth.categories.index_of
    return tuple(
        Sample(
            image_id,
            str(PurePosixPath(annotation["file_name"]).parent).strip("."),
            partial(_read_image, image_id, pictures[image_id], files),
            coco.PanopticFile(png := files.png(annotation), annotation, known, True, truth.segments[image_id]),
            image_file=pictures[image_id],
            target_files=(files.json, png),
        )
        for image_id, annotation in truth.annotations.items()
    ), categories


def _agreed(truth: coco.CocoPanoptic, space: Categories) -> Categories:
    """Return `space`. Raise DataError unless it has every category of the JSON with the same id, name and kind."""
    meant = {(c.id, c.name, c.isthing) for c in space}
    for category in truth.categories:
        if (category.id, category.name, category.isthing) not in meant:
            kind = "thing" if category.isthing else "stuff"
            raise DataError(
                f"{truth.path}: category {category.id} {category.name!r} ({kind}) is not in the label space of this "
                "data set; write a YAML with `labels: from-file`"
            )
    return space


def _picture(files: CocoFiles, truth: coco.CocoPanoptic, image_id: str) -> File | None:
    listed = truth.images.get(image_id)
    if listed is not None and "file_name" in listed:
        coco.check_file_name(listed, f"{truth.path}, image {image_id!r}")
    return files.picture(truth.annotations[image_id], listed)


def _read_image(image_id: str, path: File | None, files: CocoFiles) -> Image:
    if path is None:
        raise DataError(f"{files.json}, image {image_id!r}: the data set's YAML names no pictures; add `images:` to it")
    if isinstance(path, Path) and isinstance(files.images, Path):
        check_inside(path, str(path.relative_to(files.images)))
    return Image(image_id, read_rgb(path))
