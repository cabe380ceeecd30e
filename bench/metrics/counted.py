"""What each image adds to PQ and to IoU: counted once, for the score of a run and for resampling its images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.errors import naming
from bench.metrics import pq, semantic
from bench.metrics.lines import Lines, overlap_of
from bench.metrics.pq import Protocol, Tally
from bench.metrics.semantic import Cells
from bench.types import Categories


@dataclass(frozen=True, eq=False)
class Counted:
    """One image: the PQ statistics of its categories, and the confusion of its panoptic and its semantic map.

    `tallies` and `panoptic` are None where its truth has no instances, `semantic` where the model has no such output.
    """

    image_id: str
    group: str
    tallies: Mapping[int, Tally] | None
    panoptic: Cells | None
    semantic: Cells | None


def count(lines: Lines, categories: Categories, protocol: Protocol = "coco") -> Iterator[Counted]:
    """Goes through image lines one by one and holds none."""
    for line in lines:
        yield count_line(line, categories, protocol)


def count_line(line: Mapping[str, Any], categories: Categories, protocol: Protocol = "coco") -> Counted:
    """One line. A DataError names the image whose line is broken."""
    tallies, panoptic, own = None, None, None
    with naming(f"image {line.get('image_id')!r}"):
        if line.get("semantic") is not None:
            own = semantic.checked(line["semantic"], len(categories))
        if line.get("overlap") is not None:  # a data set of semantic labels has none
            overlap = overlap_of(line)
            panoptic = semantic.cells_of(overlap, categories)
            tallies = pq.tally(overlap, protocol=protocol)
    return Counted(str(line.get("image_id")), str(line.get("group")), tallies, panoptic, own)
