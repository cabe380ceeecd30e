"""Check of valid segments_info against the pixels of the PNG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.datasets.check.findings import Finding
from bench.io.coco import cause_of_unlisted
from bench.io.segments_info import Infos
from bench.types import Categories

Counts = Mapping[int, int]  # segment id of the PNG → pixels; 0 is void


def check_segments(listed: list[Any], known: Infos, categories: Categories, counts: Counts | None) -> Iterator[Finding]:
    """Yield the findings of segments_info, of which `known` are the valid ones. `counts` is None without a PNG."""
    for number, info in known.items():
        pixels = info.declared_area if counts is None else counts.get(number, 0)
        if counts is not None and number not in counts:
            yield Finding("id-not-in-png", f"segment {number} has no pixel", pixels=info.declared_area)
        elif info.declared_area is None:
            yield Finding("area-missing", f"segment {number} declares no area", pixels=pixels)
        elif counts is not None and info.declared_area != pixels:
            what = f"segment {number} declares {info.declared_area} px, has {pixels}"
            yield Finding("area-wrong", what, pixels=pixels)
    yield from _classes(known, categories, counts or {})
    if counts is not None:
        yield from _unlisted(listed, known, counts)


def _classes(known: Infos, categories: Categories, counts: Counts) -> Iterator[Finding]:
    for category_id in sorted({info.category_id for info in known.values()}):
        of_class = {number: info for number, info in known.items() if info.category_id == category_id}
        pixels = sum(counts.get(number, 0) for number in of_class)
        crowds = [number for number, info in of_class.items() if info.iscrowd]
        crowd_pixels = sum(counts.get(number, 0) for number in crowds)
        index = categories.index_of.get(category_id)
        if index is not None and not categories.items[index].isthing:
            if len(of_class) > 1:
                yield Finding("stuff-several", f"{len(of_class)} segments of stuff {category_id}", pixels=pixels)
            if crowds:
                yield Finding("stuff-crowd", f"segment {crowds[0]} of stuff {category_id} is a crowd",
                              pixels=crowd_pixels)  # fmt: skip
        elif len(crowds) > 1:
            yield Finding("crowd-several", f"{len(crowds)} crowd regions of category {category_id}",
                          pixels=crowd_pixels)  # fmt: skip


def _unlisted(listed: list[Any], known: Infos, counts: Counts) -> Iterator[Finding]:
    explained = {
        entry.get("id") for entry in listed if isinstance(entry, dict) and isinstance(entry.get("id"), int | float)
    }
    unlisted = {number: pixels for number, pixels in counts.items() if number and number not in explained}
    if unlisted:
        fault = "id-not-in-json" if listed else "no-segments"
        first = ", ".join(str(number) for number in sorted(unlisted)[:5])
        cause = cause_of_unlisted(unlisted, known)
        what = f"{len(unlisted)} ids of the PNG without an entry: {first}{'; ' if cause else ''}{cause}"
        yield Finding(fault, what, pixels=sum(unlisted.values()))
