"""What the metrics read of stored image lines."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bench.errors import DataError
from bench.overlap import Overlap

Lines = Iterable[Mapping[str, Any]]


def overlap_of(line: Mapping[str, Any]) -> Overlap:
    """The overlap of a line that has one: as it was computed, or as it was stored."""
    found = line["overlap"]
    return found if isinstance(found, Overlap) else Overlap.from_json(found)


def overlaps(lines: Lines) -> Iterator[Overlap]:
    """The overlap of each line; a line without one is a DataError: semantic labels alone have no segments."""
    for line in lines:
        if line.get("overlap") is None:
            raise DataError(
                f"image {line.get('image_id')!r}: has no instances in its ground truth, so there are no segments "
                "to explain; --confusion needs none"
            )
        yield overlap_of(line)
