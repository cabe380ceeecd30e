"""A data set in COCO panoptic format: the JSON, then every image's PNG, segments and picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.check.findings import CheckReport, Finding, ImageCheck, Totals
from bench.check.maps import check_picture, check_size, check_void, pixels_of, self_tally
from bench.check.segments import Segments, check_segments
from bench.check.tables import Tables, read_tables
from bench.check.walk import Walk
from bench.datasets.coco_panoptic import CocoFiles
from bench.errors import DataError
from bench.formats import coco
from bench.formats.archive import File, files_in, refuse_link_out
from bench.formats.images import read_rgb
from bench.types import Categories, Panoptic

PICTURES = (".jpg", ".jpeg", ".png")


def check_coco(name: str, files: CocoFiles, space: Categories | None, walk: Walk) -> CheckReport:
    """Every fault of the files; `space` is what their categories must agree with, None for their own."""
    try:
        tables = read_tables(coco.parse_json(files.json), str(files.json), space)
    except DataError as error:
        found = [Finding("json-unreadable", str(error), file=str(files.json))]
        return Totals(found, {}, {}).report(name, space or Categories(()))
    totals = Totals([*tables.findings, *_shared(files, tables), *_strays(files, tables)], {}, {})
    walk.over(list(tables.annotations.items()), partial(_check_image, files, tables), totals)
    return totals.report(name, space or tables.categories)


def _shared(files: CocoFiles, tables: Tables) -> Iterator[Finding]:
    """PNGs that several annotations name."""
    uses = Counter(str(annotation["file_name"]) for annotation in tables.annotations.values())
    for image_id, annotation in tables.annotations.items():
        png = str(annotation["file_name"])
        if uses[png] > 1:
            yield Finding("png-shared", f"{uses[png]} annotations name it", image_id, str(files.panoptic / png))


def _strays(files: CocoFiles, tables: Tables) -> Iterator[Finding]:
    """Files right in the folders that nothing names."""
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
            yield Finding("picture-without-annotation", "no annotation is of it", file=str(files.images / name))


@dataclass(frozen=True, eq=False)
class _Map:
    """A PNG that could be read: (H, W) int32 ids and how often each occurs."""

    ids: NDArray[np.int32]
    counts: Mapping[int, int]

    @property
    def size(self) -> tuple[int, int]:
        return int(self.ids.shape[0]), int(self.ids.shape[1])


def _check_image(files: CocoFiles, tables: Tables, job: tuple[str, Mapping[str, Any]]) -> ImageCheck:
    image_id, annotation = job
    png = files.png(annotation)
    read, findings = _read(png, annotation)
    segments = check_segments(annotation["segments_info"], tables.isthing, None if read is None else read.counts)
    findings += segments.findings
    listed = tables.images.get(image_id)
    picture = files.picture(annotation, listed)
    if picture is not None:
        findings += check_picture(picture, None if read is None else read.size)
    panoptic = None
    if read is not None:
        findings += _sizes(read, listed)
        panoptic = _panoptic(read, segments, tables.isthing)
        findings += check_void(panoptic) if set(read.counts) == {0} else []
    return ImageCheck(
        tuple(finding.at(image_id, png) for finding in findings),
        {} if panoptic is None else pixels_of(panoptic),
        {} if panoptic is None else self_tally(panoptic),
    )


def _read(png: File, annotation: Mapping[str, Any]) -> tuple[_Map | None, list[Finding]]:
    if not png.is_file():
        return None, [Finding("png-missing", "there is no such file")]
    try:
        refuse_link_out(png, annotation["file_name"])
        ids = coco.read_ids(png)
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
    """The declared height and width, where the JSON gives them."""
    height, width = (listed.get(key) if listed else None for key in ("height", "width"))
    if not isinstance(height, int) or not isinstance(width, int):
        return []
    return check_size(read.size, (height, width), "size-declared", "the JSON says")


def _panoptic(read: _Map, segments: Segments, isthing: Mapping[int, bool]) -> Panoptic:
    """The map of what can be scored; pixels of anything else are void."""
    infos = {
        number: info for number, info in segments.known.items() if number in read.counts and info.category_id in isthing
    }
    return Panoptic.from_ids(np.where(np.isin(read.ids, list(infos)), read.ids, 0), infos)
