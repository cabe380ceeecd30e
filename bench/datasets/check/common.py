"""Image loop, and checks shared by the layouts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.datasets.check.findings import CheckAccumulator, Finding, ImageCheck
from bench.errors import DataError
from bench.io.archive import File
from bench.io.pictures import Pictures, read_header
from bench.metrics.pq import PQStat, pq_stat
from bench.overlap import Overlap
from bench.parallel import ordered_map
from bench.types import Panoptic, ProgressCallback

T = TypeVar("T")


@dataclass(frozen=True)
class CheckOptions:
    """Options of a check: the first `limit` images (None: all), on `workers` threads, with a progress callback."""

    limit: int | None = None
    workers: int = 2
    on_image: ProgressCallback | None = None

    def run(self, jobs: Sequence[T], check: Callable[[T], ImageCheck], totals: CheckAccumulator) -> None:
        """Run `check` on each image and add the results to the totals, in order."""
        chosen = jobs[: self.limit]
        for done, image in enumerate(ordered_map(check, chosen, self.workers), 1):
            totals.add(image)
            if self.on_image is not None:
                self.on_image(done, len(chosen))


Size = tuple[int, int]  # (H, W) in pixels


def check_picture(image_id: str, picture: File, pictures: Pictures, label: Size | None) -> list[Finding]:
    """Check that a picture can be decoded and has the size of its label (None: the label could not be read)."""
    if not picture.is_file():
        return [Finding("picture-missing", "there is no such file", file=str(picture))]
    try:
        header, (height, width) = read_header(picture), pictures.read(image_id, picture).size
    except DataError as error:
        return [Finding("picture-unreadable", str(error), file=str(picture))]
    found = []
    if header.is_deep:
        what = f"{pictures.bits} bits are in use in the pictures of the data set"
        found.append(Finding("picture-16-bit", what, file=str(picture)))
    if header.orientation == 1:
        # Orientation 1 is upright: size and label are compared as they are.
        return found + ([] if label is None else check_size(label, (height, width), "size-picture", "the picture"))
    what = f"its EXIF orientation is {header.orientation}: it is read as {_hw((height, width))}"
    turned = label is None or label == (height, width)
    return [*found, Finding("picture-turned" if turned else "label-unturned", what, file=str(picture))]


def check_size(label: Size, other: Size, fault: str, name: str) -> list[Finding]:
    if label == other:
        return []
    what = f"the label is {_hw(label)}, {name} {_hw(other)}"
    return [Finding("map-transposed" if label == other[::-1] else fault, what, pixels=label[0] * label[1])]


def check_void(panoptic: Panoptic) -> list[Finding]:
    whole = panoptic.id_map.size
    return [] if panoptic.segments_info else [Finding("all-void", "no pixel belongs to a segment", pixels=whole)]


def self_tally(panoptic: Panoptic) -> Mapping[int, PQStat]:
    """Return the PQ statistics of a ground truth against itself, with the declared areas."""
    return pq_stat(Overlap.of(panoptic, panoptic))


def pixels_of(panoptic: Panoptic) -> Mapping[int, int]:
    """Return category id → pixels."""
    found: dict[int, int] = {}
    for info, area in zip(panoptic.segments_info, panoptic.areas.tolist(), strict=True):
        found[info.category_id] = found.get(info.category_id, 0) + area
    return found


def _hw(size: Size) -> str:
    return f"{size[0]} x {size[1]} (height x width)"
