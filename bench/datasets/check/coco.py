"""Check of COCO panoptic JSON and PNGs."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.datasets.check.common import CheckOptions, check_picture, check_size, check_void, pixels_of, self_tally
from bench.datasets.check.findings import CheckAccumulator, CheckReport, Finding, ImageCheck
from bench.datasets.check.segments import check_segments
from bench.datasets.coco import CocoFiles, outside_space
from bench.errors import DataError
from bench.io.archive import File, files_in
from bench.io.coco import read_ids
from bench.io.coco_json import CocoTables, parse_json, read_tables
from bench.io.images import read_rgb
from bench.io.pictures import Pictures
from bench.io.segments_info import Fault, Infos
from bench.types import Categories, Panoptic

SEGMENT_FAULTS = ("segment-malformed", "id-over-24-bit", "id-zero", "id-duplicate", "category-undeclared")


def _pairs(tables: CocoTables) -> Iterator[Finding]:
    images, annotations = tables.images, tables.annotations
    for image_id in sorted(images.keys() - annotations.keys()):
        yield Finding("image-without-annotation", "`images` lists it, `annotations` does not", image_id)
    # A file without `images` has one finding for that, not one per annotation.
    if images:
        for image_id in sorted(annotations.keys() - images.keys()):
            yield Finding("annotation-without-image", "`annotations` lists it, `images` does not", image_id)


PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".webp", ".bmp")


def check_coco(
    name: str, files: CocoFiles, space: Categories | None, walk: CheckOptions, bits: int | None = None
) -> CheckReport:
    """Return all findings of the files. Categories must agree with `space`; None accepts the JSON's own."""
    try:
        tables = read_tables(parse_json(files.json), is_truth=True)
    except DataError as error:
        found = [Finding("json-unreadable", str(error), file=str(files.json))]
        return CheckAccumulator(found, {}, {}).report(name, space or Categories(()))
    categories = tables.categories or Categories(())
    # Faults of segments are reported with their pixels, of the images that are checked.
    of_segments: dict[str, list[Fault]] = defaultdict(list)
    found = []
    for fault in tables.faults:
        if fault.image_id is not None and fault.kind in SEGMENT_FAULTS and fault.image_id in tables.annotations:
            of_segments[fault.image_id].append(fault)
        else:
            found.append(Finding(fault.kind, fault.what, fault.image_id, str(files.json)))
    found += [replace(finding, file=str(files.json)) for finding in _pairs(tables)]
    for what in outside_space(categories, space or categories):
        found.append(Finding("category-not-in-space", what, file=str(files.json)))
    picture_of = _pictures(files, tables)
    pictures = Pictures(list(picture_of.values()), bits)
    totals = CheckAccumulator([*found, *_shared(files, tables), *_strays(files, tables)], {}, {})
    check = partial(_check_image, files, tables, of_segments, picture_of, pictures)
    walk.run(list(tables.annotations.items()), check, totals)
    return totals.report(name, space or categories)


def _pictures(files: CocoFiles, tables: CocoTables) -> dict[str, File]:
    """Return the picture of each image that has one with a safe name."""
    unsafe = {fault.image_id for fault in tables.faults if fault.kind == "file-name-unsafe"}
    named = {i: files.picture(a, tables.images.get(i)) for i, a in tables.annotations.items() if i not in unsafe}
    return {image_id: picture for image_id, picture in named.items() if picture is not None}


def _shared(files: CocoFiles, tables: CocoTables) -> Iterator[Finding]:
    uses = Counter(str(annotation["file_name"]) for annotation in tables.annotations.values())
    for image_id, annotation in tables.annotations.items():
        png = str(annotation["file_name"])
        if uses[png] > 1:
            yield Finding("png-shared", f"{uses[png]} annotations name it", image_id, str(files.panoptic / png))


def _strays(files: CocoFiles, tables: CocoTables) -> Iterator[Finding]:
    """Yield files directly in the folders without an annotation or an entry of `images`."""
    pngs = {str(annotation["file_name"]) for annotation in tables.annotations.values()}
    for name in files_in(files.panoptic) if files.panoptic.is_dir() else ():
        if name.endswith(".png") and name not in pngs:
            yield Finding("png-without-annotation", "no annotation names it", file=str(files.panoptic / name))
    if files.images is None or not files.images.is_dir():
        return
    pictures = {str(files.picture(a, tables.images.get(image_id))) for image_id, a in tables.annotations.items()}
    listed = {str(entry.get("file_name")) for entry in tables.images.values()}
    for name in files_in(files.images):
        if name.lower().endswith(PICTURES) and name not in listed and str(files.images / name) not in pictures:
            yield Finding("picture-without-annotation", "no annotation refers to it", file=str(files.images / name))


@dataclass(frozen=True, eq=False)
class _Map:
    """Decoded PNG: (H, W) int32 ids, and the pixels of each id."""

    ids: NDArray[np.int32]
    counts: Mapping[int, int]

    @property
    def size(self) -> tuple[int, int]:
        return int(self.ids.shape[0]), int(self.ids.shape[1])


def _check_image(
    files: CocoFiles,
    tables: CocoTables,
    of_segments: Mapping[str, Sequence[Fault]],
    picture_of: Mapping[str, File],
    pictures: Pictures,
    job: tuple[str, Mapping[str, Any]],
) -> ImageCheck:
    image_id, annotation = job
    png, categories = files.png(annotation), tables.categories or Categories(())
    read, findings = _read(png)
    counts = None if read is None else read.counts
    for fault in of_segments.get(image_id, ()):
        info = fault.segment
        pixels = None if info is None else (counts or {}).get(info.source_id or 0, info.declared_area)
        findings.append(Finding(fault.kind, fault.what, file=str(files.json), pixels=pixels))
    segments = tables.segments[image_id]
    findings += check_segments(annotation["segments_info"], segments, categories, counts)
    if image_id in picture_of:
        size = None if read is None else read.size
        findings += check_picture(image_id, picture_of[image_id], pictures, size)
    panoptic = None
    if read is not None:
        findings += _sizes(read, tables.images.get(image_id))
        panoptic = _panoptic(read, segments, categories)
        # If only unlisted ids are left out, these are the finding, and not that all is void.
        findings += check_void(panoptic) if set(read.counts) == {0} else []
    return ImageCheck(
        tuple(finding.at(image_id, png) for finding in findings),
        {} if panoptic is None else pixels_of(panoptic),
        {} if panoptic is None else self_tally(panoptic),
        0 if panoptic is None else panoptic.id_map.size,
    )


def _read(png: File) -> tuple[_Map | None, list[Finding]]:
    if not png.is_file():
        return None, [Finding("png-missing", "there is no such file")]
    try:
        ids = read_ids(png)
    except DataError as error:
        return None, [Finding("png-format" if _decodes(png) else "png-unreadable", str(error))]
    numbers, pixels = np.unique(ids, return_counts=True)
    return _Map(ids, dict(zip(numbers.tolist(), pixels.tolist(), strict=True))), []


def _decodes(png: File) -> bool:
    try:
        return read_rgb(png).size > 0
    except DataError:
        return False


def _sizes(read: _Map, listed: Mapping[str, Any] | None) -> list[Finding]:
    height, width = (listed.get(key) if listed else None for key in ("height", "width"))
    if not isinstance(height, int) or not isinstance(width, int):
        return []
    return check_size(read.size, (height, width), "size-declared", "the JSON says")


def _panoptic(read: _Map, segments: Infos, categories: Categories) -> Panoptic:
    """Return the map of the segments that can be scored; all other pixels are void."""
    infos = {
        number: info
        for number, info in segments.items()
        if number in read.counts and info.category_id in categories.index_of
    }
    return Panoptic.from_ids(np.where(np.isin(read.ids, list(infos)), read.ids, 0), infos)
