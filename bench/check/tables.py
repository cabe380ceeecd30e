"""The three lists of a COCO panoptic JSON, entry by entry: what is sound is kept, the rest is a finding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from bench.check.findings import Finding
from bench.errors import DataError
from bench.formats import coco
from bench.types import Categories, Category


@dataclass(frozen=True, eq=False)
class Tables:
    """`images` and `annotations` by image id; annotations have a safe file_name and segments_info."""

    findings: tuple[Finding, ...]
    categories: Categories
    images: Mapping[str, Mapping[str, Any]]
    annotations: Mapping[str, Mapping[str, Any]]

    @cached_property
    def isthing(self) -> Mapping[int, bool]:
        """By category id."""
        return {category.id: category.isthing for category in self.categories}


def read_tables(data: Any, file: str, space: Categories | None) -> Tables:
    findings: list[Finding] = []
    categories = _categories(_list(data, "categories", findings), findings)
    images = _by_image(_list(data, "images", findings), "id", "image", findings)
    annotations = _by_image(_list(data, "annotations", findings), "image_id", "annotation", findings)
    findings += _pairs(images, annotations)
    if space is not None:
        findings += _outside(categories, space)
    placed = tuple(f if f.file else Finding(f.fault, f.what, f.image_id, file, f.pixels) for f in findings)
    return Tables(placed, categories, images, annotations)


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
    """The first sound entry of each image id."""
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
    """Why an entry with an image id cannot be used."""
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
