"""Check of segments_info against the pixels of the PNG."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.datasets.check.findings import Finding
from bench.io.coco import ID_LIMIT
from bench.types import SegmentInfo

Counts = Mapping[int, int]  # segment id of the PNG → pixels; 0 is void


@dataclass(frozen=True)
class Segments:
    """Findings, and the entries that can be scored (`known`) by segment id."""

    findings: tuple[Finding, ...]
    known: Mapping[int, SegmentInfo]


def check_segments(listed: Any, isthing: Mapping[int, bool], counts: Counts | None) -> Segments:
    """Check segments_info. `isthing` is by category id; `counts` is None if the PNG could not be read."""
    if not isinstance(listed, list):
        return Segments((Finding("annotation-malformed", "`segments_info` is not a list"),), {})
    findings: list[Finding] = []
    known: dict[int, SegmentInfo] = {}
    for position, entry in enumerate(listed):
        info = _entry(entry)
        if info is None:
            findings.append(Finding("segment-malformed", f"segments_info[{position}] is {str(entry)[:80]}"))
            continue
        faults = list(_faults(info, known, isthing, counts))
        findings += faults
        if not {fault.fault for fault in faults} & {"id-duplicate", "id-zero", "id-over-24-bit"}:
            known[info.source_id or 0] = info
    findings += _classes(known, isthing, counts or {})
    if counts is not None:
        findings += _unlisted(listed, known, counts)
    return Segments(tuple(findings), known)


def _entry(entry: Any) -> SegmentInfo | None:
    if not isinstance(entry, dict):
        return None
    number, category_id, area = _whole(entry.get("id")), _whole(entry.get("category_id")), _whole(entry.get("area"))
    crowd = entry.get("iscrowd", 0)
    bad_area = entry.get("area") is not None and (area is None or area < 1)
    if number is None or category_id is None or crowd not in (0, 1) or bad_area:
        return None
    return SegmentInfo(category_id, bool(crowd), None, number, area)


def _whole(value: Any) -> int | None:
    """Return a JSON number without a fraction as int, like the loader, else None."""
    return int(value) if isinstance(value, int) or (isinstance(value, float) and value.is_integer()) else None


def _faults(
    info: SegmentInfo, before: Mapping[int, SegmentInfo], isthing: Mapping[int, bool], counts: Counts | None
) -> Iterator[Finding]:
    number = info.source_id or 0
    pixels = info.declared_area if counts is None else counts.get(number, 0)
    if not 0 <= number < ID_LIMIT:
        yield Finding("id-over-24-bit", f"id {number} does not fit a PNG of 24 bits", pixels=info.declared_area)
    elif number == 0:
        yield Finding("id-zero", f"a segment of category {info.category_id} has id 0", pixels=pixels)
    elif number in before:
        yield Finding("id-duplicate", f"segment id {number} is listed twice", pixels=pixels)
    elif counts is not None and number not in counts:
        yield Finding("id-not-in-png", f"segment {number} has no pixel", pixels=info.declared_area)
    elif info.declared_area is None:
        yield Finding("area-missing", f"segment {number} declares no area", pixels=pixels)
    elif counts is not None and info.declared_area != pixels:
        yield Finding("area-wrong", f"segment {number} declares {info.declared_area} px, has {pixels}", pixels=pixels)
    if info.category_id not in isthing:
        yield Finding("category-undeclared", f"segment {number} has category_id {info.category_id}", pixels=pixels)


def _classes(known: Mapping[int, SegmentInfo], isthing: Mapping[int, bool], counts: Counts) -> Iterator[Finding]:
    for category_id in sorted({info.category_id for info in known.values()}):
        of_class = {number: info for number, info in known.items() if info.category_id == category_id}
        pixels = sum(counts.get(number, 0) for number in of_class)
        crowds = [number for number, info in of_class.items() if info.iscrowd]
        crowd_pixels = sum(counts.get(number, 0) for number in crowds)
        if not isthing.get(category_id, True):
            if len(of_class) > 1:
                yield Finding("stuff-several", f"{len(of_class)} segments of stuff {category_id}", pixels=pixels)
            if crowds:
                yield Finding("stuff-crowd", f"segment {crowds[0]} of stuff {category_id} is a crowd",
                              pixels=crowd_pixels)  # fmt: skip
        elif len(crowds) > 1:
            yield Finding("crowd-several", f"{len(crowds)} crowd regions of category {category_id}",
                          pixels=crowd_pixels)  # fmt: skip


def _unlisted(listed: list[Any], known: Mapping[int, SegmentInfo], counts: Counts) -> Iterator[Finding]:
    explained = {entry.get("id") for entry in listed if isinstance(entry, dict) and _whole(entry.get("id")) is not None}
    unlisted = {number: pixels for number, pixels in counts.items() if number and number not in explained}
    if unlisted:
        fault = "id-not-in-json" if listed else "no-segments"
        first = ", ".join(str(number) for number in sorted(unlisted)[:5])
        yield Finding(fault, f"ids of the PNG without an entry: {first}", pixels=sum(unlisted.values()))
