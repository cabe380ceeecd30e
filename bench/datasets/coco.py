"""Samples of a data set in COCO panoptic format: JSON, PNGs and images, in folders or zip archives."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from bench.datasets.label_spaces import LabelSpace
from bench.errors import DataError, UsageError
from bench.io import coco
from bench.io.archive import File, exists, locate
from bench.io.coco_json import file_name_fault
from bench.io.pictures import Pictures
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
                raise UsageError(
                    f"the place {place!r} is absolute; write it relative to the root, and give the root by --data-root"
                )


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
    if not root.exists():
        raise DataError(f"{root}: there is no such folder.\n{remedy}")
    raise DataError(f"{root}: no {what}; looked for {', '.join(places)}.\n{remedy}")


def samples(
    files: CocoFiles, space: LabelSpace | None, bits: int | None = None
) -> tuple[tuple[Sample, ...], Categories, Pictures]:
    """Return the samples in JSON order, categories and pictures. Categories are those of `space`, None: of the JSON."""
    truth = coco.load_json(files.json, is_truth=True)
    categories = truth.categories if space is None else space.evaluated
    for fault in outside_space(truth.categories, categories):
        raise DataError(f"{truth.path}: {fault}; write a YAML with `labels: from-file`")
    picture_of = {image_id: _picture(files, truth, image_id) for image_id in truth.annotations}
    # All at once and before any work: a missing picture should not end a run in its last hour.
    missing = [path for path in picture_of.values() if path is not None and not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(picture_of)} pictures are missing, first {missing[0]}; unpack them again"
        )
    known = truth.categories.index_of
    pictures = Pictures([path for path in picture_of.values() if path is not None], bits)
    return (
        tuple(
            Sample(
                image_id,
                str(PurePosixPath(annotation["file_name"]).parent).strip("."),
                partial(_read_image, image_id, picture_of[image_id], files, pictures),
                coco.PanopticFile(png := files.png(annotation), annotation, known, True, truth.segments[image_id]),
                image_file=picture_of[image_id],
                target_files=(files.json, png),
            )
            for image_id, annotation in truth.annotations.items()
        ),
        categories,
        pictures,
    )


def outside_space(listed: Categories, space: Categories) -> Iterator[str]:
    """Yield a sentence for each category that `space` does not have with the same id, name and kind."""
    meant = {(c.id, c.name, c.isthing) for c in space}
    for c in listed:
        if (c.id, c.name, c.isthing) not in meant:
            kind = "thing" if c.isthing else "stuff"
            yield f"category {c.id} {c.name!r} ({kind}) is not in the label space of this data set"


def _picture(files: CocoFiles, truth: coco.CocoPanoptic, image_id: str) -> File | None:
    listed = truth.images.get(image_id)
    if listed is not None and "file_name" in listed and (reason := file_name_fault(listed["file_name"])):
        raise DataError(f"{truth.path}, image {image_id!r}: {reason}")
    return files.picture(truth.annotations[image_id], listed)


def _read_image(image_id: str, path: File | None, files: CocoFiles, pictures: Pictures) -> Image:
    if path is None:
        raise DataError(f"{files.json}, image {image_id!r}: the data set's YAML names no pictures; add `images:` to it")
    return pictures.read(image_id, path)
