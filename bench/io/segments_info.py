"""segments_info of the COCO panoptic format, with every fault of its entries."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from itertools import chain
from typing import Any, NamedTuple

from bench.errors import DataError, excerpt
from bench.types import SegmentInfo

ID_LIMIT = 1 << 24
NUMBER_LIMIT = 1 << 53  # below it a number means the same to everybody
SCORE_LIMIT = 1e9

Infos = Mapping[int, SegmentInfo]  # segments_info by segment id


class Fault(NamedTuple):
    """Fault of a JSON. `kind` is its name in `bench data check`, `segment` the affected one.

    Files with a fault that does not stop are scored.
    """

    kind: str
    what: str
    image_id: str | None = None
    segment: SegmentInfo | None = None
    stops: bool = True


def read_segments(
    annotation: Mapping[str, Any],
    known: Collection[int] | None,
    faults: list[Fault],
    image_id: str | None = None,
    *,
    is_truth: bool,
) -> dict[int, SegmentInfo]:
    """Return the valid segments_info by segment id and append the faults. `known` are the category ids, if listed.

    Areas of predictions are counted, so that an invalid one is none. A truth may not list id 0: panopticapi counts it
    both as a segment and as void.
    """
    listed = annotation.get("segments_info")
    if isinstance(listed, list) and (plain := _plain_segments(listed, known)) is not None:
        return plain
    infos: dict[int, SegmentInfo] = {}
    if not isinstance(listed, list):
        faults.append(Fault("annotation-malformed", "no list `segments_info`", image_id))
        return infos
    for position, entry in enumerate(listed):
        kind = what = ""
        info = None
        try:
            info = _segment(entry, is_truth)
        except DataError as error:
            kind, what = "segment-malformed", str(error)
        else:
            number = info.source_id or 0
            if not 0 <= number < ID_LIMIT:
                kind, what = "id-over-24-bit", f"id {number} does not fit the 24 bits of a panoptic PNG; number from 1"
            elif number == 0 and is_truth:
                kind, what = "id-zero", "the ground truth lists segment id 0, which means void; renumber it"
            elif number in infos:
                kind, what = "id-duplicate", f"id {number} is listed twice; ids are unique in an image"
            else:
                infos[number] = info
            if known is not None and info.category_id not in known:
                faults.append(Fault("category-undeclared", undeclared(info), image_id, info))
        if kind:
            faults.append(Fault(kind, f"segments_info[{position}]: {what}", image_id, info))
    return infos


def _plain_segments(listed: list[Any], known: Collection[int] | None) -> dict[int, SegmentInfo] | None:
    """Return the segments of a list of usual entries, as nearly all are; None for any other list."""
    try:
        ids, categories = [one["id"] for one in listed], [one["category_id"] for one in listed]
        crowds = [one.get("iscrowd", 0) for one in listed]
        areas, scores = [one.get("area") for one in listed], [one.get("score") for one in listed]
    except (TypeError, KeyError, AttributeError):
        return None
    counts = [area for area in areas if area is not None]
    if not set(map(type, chain(ids, categories, crowds, counts))) <= {int} or len(set(ids)) < len(ids):
        return None
    if not (0 < min(ids, default=1) <= max(ids, default=1) < ID_LIMIT and set(crowds) <= {0, 1}):
        return None
    if not 0 < min(counts, default=1) <= max(counts, default=1) < NUMBER_LIMIT:
        return None
    if not all(score is None or (type(score) is float and abs(score) <= SCORE_LIMIT) for score in scores):
        return None
    if not all(map(range(NUMBER_LIMIT).__contains__ if known is None else known.__contains__, categories)):
        return None
    rows = zip(categories, map(bool, crowds), scores, ids, areas, strict=True)
    return dict(zip(ids, map(SegmentInfo._make, rows), strict=True))


def undeclared(info: SegmentInfo) -> str:
    return (
        f"segment {info.source_id} has category_id {info.category_id}, which is not among the categories; "
        "map it to one of them; bench score --ids contiguous maps positions in the categories"
    )


def _segment(entry: Any, is_truth: bool) -> SegmentInfo:
    if not isinstance(entry, dict):
        raise DataError(f"it is {excerpt(entry)}, not an object with id and category_id")
    number, category_id = integer(entry, "id"), integer(entry, "category_id")
    crowd = integer(entry, "iscrowd") if "iscrowd" in entry else 0
    area, score = entry.get("area"), entry.get("score")
    if crowd not in (0, 1):
        raise DataError(f"iscrowd is {crowd}, not 0 or 1")
    if isinstance(area, float | bool) and area == int(area):
        area = int(area)
    if area is not None and not (isinstance(area, int | float) and 0 < area < NUMBER_LIMIT):
        # A counted area of 0 is that of a segment that no pixel has; `PanopticFile` refuses it for any other.
        if is_truth and area != 0:
            raise DataError(f"`area` is {excerpt(area)}, not a number of pixels; leave it out to have them counted")
        area = area if is_truth else None
    if score is not None and not (isinstance(score, int | float) and abs(score) <= SCORE_LIMIT):
        raise DataError(f"score is {excerpt(score)}, not a number up to {SCORE_LIMIT:.0e}; leave it out")
    return SegmentInfo(category_id, crowd == 1, score, number, area)


def integer(entry: Mapping[str, Any], key: str) -> int:
    """Return the whole number at `key`: 5, 5.0, or a boolean, which some writers use for flags."""
    value = entry.get(key)
    if type(value) is int and -NUMBER_LIMIT < value < NUMBER_LIMIT:  # nearly always
        return value
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        if abs(value) >= NUMBER_LIMIT:
            raise DataError(f"`{key}` has more than 53 bits; it cannot be meant")
        return int(value)
    raise DataError(f"`{key}` is {excerpt(value)}, not an integer" if key in entry else f"no `{key}`")
