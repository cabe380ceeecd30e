"""Check of COCO panoptic JSON and PNGs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.datasets.check.common import CheckOptions, check_picture, check_size, check_void, pixels_of, self_tally
from bench.datasets.check.findings import CheckAccumulator, CheckReport, Finding, ImageCheck
from bench.datasets.check.segments import Segments, check_segments
from bench.datasets.coco import CocoFiles
from bench.errors import DataError
from bench.io import coco
from bench.io.archive import File, check_inside, files_in
from bench.io.images import read_rgb
from bench.types import Categories, Category, Panoptic


@dataclass(frozen=True, eq=False)
class CocoTables:
    """Valid entries of `images` and `annotations` by image id. Annotations have a safe file_name and segments_info."""

    findings: tuple[Finding, ...]
    categories: Categories
    images: Mapping[str, Mapping[str, Any]]
    annotations: Mapping[str, Mapping[str, Any]]

    @cached_property
    def isthing(self) -> Mapping[int, bool]:
        """Category id → isthing."""
        return {category.id: category.isthing for category in self.categories}


def read_tables(data: Any, file: str, space: Categories | None) -> CocoTables:
    findings: list[Finding] = []
    categories = _categories(_list(data, "categories", findings), findings)
    images = _by_image(_list(data, "images", findings), "id", "image", findings)
    annotations = _by_image(_list(data, "annotations", findings), "image_id", "annotation", findings)
    findings += _pairs(images, annotations)
    if space is not None:
        findings += _outside(categories, space)
    placed = tuple(f if f.file else Finding(f.fault, f.what, f.image_id, file, f.pixels) for f in findings)
    return CocoTables(placed, categories, images, annotations)


def _list(data: Any, key: str, findings: list[Finding]) -> list[Any]:
    listed = data.get(key) if isinstance(data, dict) else None
    if isinstance(listed, list):
        return listed
    findings.append(Finding("json-format", f"no list `{key}`"))
    return []


def _categories(listed: list[Any], findings: list[Finding]) -> Categories:
    kept: dict[int, Category] = {}
    names: set[str] = set()
    for entry in listed:
        try:
            category = coco.category_of(entry)
        except DataError as error:
            findings.append(Finding("category-malformed", str(error)))
            continue
        if category.id in kept:
            findings.append(Finding("category-twice", f"category id {category.id} is listed twice"))
        elif category.name in names:
            findings.append(Finding("category-name-twice", f"two categories are called {category.name!r}"))
        kept.setdefault(category.id, category)
        names.add(category.name)
    return Categories(tuple(kept.values()))


def _by_image(listed: list[Any], key: str, kind: str, findings: list[Finding]) -> dict[str, Mapping[str, Any]]:
    kept: dict[str, Mapping[str, Any]] = {}
    for position, entry in enumerate(listed):
        if not isinstance(entry, dict) or type(entry.get(key)) not in (str, int):
            findings.append(Finding(f"{kind}-malformed", f"{kind}s[{position}] has no `{key}`"))
            continue
        image_id = str(entry[key])
        fault = _fault(entry, image_id, kind)
        if fault is not None:
            findings.append(fault)
        elif image_id in kept:
            findings.append(Finding(f"{kind}-twice", f"image {image_id!r} is in `{kind}s` twice", image_id))
        else:
            kept[image_id] = entry
    return kept


def _fault(entry: Mapping[str, Any], image_id: str, kind: str) -> Finding | None:
    if not isinstance(entry.get("file_name"), str) or (kind == "annotation" and "segments_info" not in entry):
        return Finding(f"{kind}-malformed", "no `file_name` or no `segments_info`", image_id)
    try:
        coco.check_file_name(entry, kind)
    except DataError as error:
        return Finding("file-name-unsafe", str(error), image_id)
    return None


def _pairs(images: Mapping[str, Any], annotations: Mapping[str, Any]) -> Iterator[Finding]:
    for image_id in sorted(images.keys() - annotations.keys()):
        yield Finding("image-without-annotation", "`images` lists it, `annotations` does not", image_id)
    if images:  # a file without the list says so once
        for image_id in sorted(annotations.keys() - images.keys()):
            yield Finding("annotation-without-image", "`annotations` lists it, `images` does not", image_id)


def _outside(categories: Categories, space: Categories) -> Iterator[Finding]:
    meant = {(c.id, c.name, c.isthing) for c in space}
    for c in categories:
        if (c.id, c.name, c.isthing) not in meant:
            kind = "thing" if c.isthing else "stuff"
            yield Finding("category-not-in-space", f"category {c.id} {c.name!r} ({kind}) is not one of the data set's")


PICTURES = (".jpg", ".jpeg", ".png")


def check_coco(name: str, files: CocoFiles, space: Categories | None, walk: CheckOptions) -> CheckReport:
    """Return all findings of the files. Categories must agree with `space`; None accepts the JSON's own."""
    try:
        tables = read_tables(coco.parse_json(files.json), str(files.json), space)
    except DataError as error:
        found = [Finding("json-unreadable", str(error), file=str(files.json))]
        return CheckAccumulator(found, {}, {}).report(name, space or Categories(()))
    totals = CheckAccumulator([*tables.findings, *_shared(files, tables), *_strays(files, tables)], {}, {})
    walk.run(list(tables.annotations.items()), partial(_check_image, files, tables), totals)
    return totals.report(name, space or tables.categories)


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
            yield Finding("picture-without-annotation", "no annotation is of it", file=str(files.images / name))


@dataclass(frozen=True, eq=False)
class _Map:
    """Decoded PNG: (H, W) int32 ids, and the pixels of each id."""

    ids: NDArray[np.int32]
    counts: Mapping[int, int]

    @property
    def size(self) -> tuple[int, int]:
        return int(self.ids.shape[0]), int(self.ids.shape[1])


def _check_image(files: CocoFiles, tables: CocoTables, job: tuple[str, Mapping[str, Any]]) -> ImageCheck:
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
        check_inside(png, annotation["file_name"])
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
    height, width = (listed.get(key) if listed else None for key in ("height", "width"))
    if not isinstance(height, int) or not isinstance(width, int):
        return []
    return check_size(read.size, (height, width), "size-declared", "the JSON says")


def _panoptic(read: _Map, segments: Segments, isthing: Mapping[int, bool]) -> Panoptic:
    """Return the map of the segments that can be scored; all other pixels are void."""
    infos = {
        number: info for number, info in segments.known.items() if number in read.counts and info.category_id in isthing
    }
    return Panoptic.from_ids(np.where(np.isin(read.ids, list(infos)), read.ids, 0), infos)
