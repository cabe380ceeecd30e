"""Selection of gallery images: the best and worst images of a run, and the worst segments of each error type."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from bench.metrics.errors import ERROR_TYPES, assign_error_types
from bench.metrics.image_statistics import overlap_of
from bench.metrics.matching import match
from bench.overlap import Overlap
from bench.reports.pictures.images import ranked_images
from bench.reports.views.runs import RunView

IMAGES, SEGMENTS = 6, 4  # of the best, of the worst; of each kind of error

Side = Literal["truth", "prediction"]


@dataclass(frozen=True)
class WrongSegment:
    """A wrong segment with its area and the pixels that the error costs (its area, times 1 - IoU if matched)."""

    side: Side
    dense_id: int
    category: str
    area: int
    cost: float
    iou: float | None = None


@dataclass(frozen=True)
class GalleryItem:
    """An image of a run; `kind` is best, worst or an error type, and `place` 1 is the image with the best PQ."""

    k: int
    kind: str
    image_id: str
    pq: float | None
    place: int | None
    fault: WrongSegment | None = None


def picks(views: Sequence[RunView]) -> list[GalleryItem]:
    """Return the gallery items of all runs, most important first, so that a size limit drops the least important."""
    queues = [queue for view in views for queue in _queues(view)]
    # In turn from each queue: a size limit then cuts all kinds and runs alike.
    return [pick for turn in zip_longest(*queues) for pick in turn if pick is not None]


def _queues(view: RunView) -> Iterator[list[GalleryItem]]:
    """Yield the worst images, the best images, then the segments of each error type."""
    ranked = ranked_images(view.run)
    images = [GalleryItem(view.color_index, "", image.image_id, image.pq, image.place) for image in ranked]
    # With few images each is shown once, as one of the worst or of the best.
    half = min(IMAGES, len(images) // 2 + len(images) % 2)
    yield [_as(pick, "worst") for pick in images[::-1][:half]]
    yield [_as(pick, "best") for pick in images[: min(IMAGES, len(images) - half)]]
    placed = {pick.image_id: pick for pick in images}
    for kind, faults in _worst(view).items():
        yield [
            GalleryItem(view.color_index, kind, image_id, placed[image_id].pq, placed[image_id].place, fault)
            for image_id, fault in faults
            if image_id in placed
        ]


def _as(pick: GalleryItem, kind: str) -> GalleryItem:
    return GalleryItem(pick.k, kind, pick.image_id, pick.pq, pick.place)


def _worst(view: RunView) -> dict[str, list[tuple[str, WrongSegment]]]:
    """Return the costliest segments of each error type, at most one per image."""
    found: dict[str, list[tuple[str, WrongSegment]]] = defaultdict(list)
    for line in view.run.lines():
        worst: dict[str, WrongSegment] = {}
        for kind, fault in _faults(overlap_of(line), view):
            if kind not in worst or fault.cost > worst[kind].cost:
                worst[kind] = fault
        for kind, fault in worst.items():
            found[kind].append((str(line["image_id"]), fault))
    ordered = {kind: sorted(found[kind], key=lambda item: (-item[1].cost, item[0])) for kind in ERROR_TYPES}
    return {kind: faults[:SEGMENTS] for kind, faults in ordered.items() if faults}


def _faults(overlap: Overlap, view: RunView) -> Iterator[tuple[str, WrongSegment]]:
    protocol, space = view.score.protocol, view.run.categories
    matches = match(overlap, protocol=protocol)
    kinds = assign_error_types(overlap, matches, protocol)

    def fault(side: Side, dense_id: int, iou: float | None = None) -> WrongSegment:
        segment = (overlap.truth if side == "truth" else overlap.predicted)[dense_id - 1]
        name = space.items[space.index_of[segment.category_id]].name
        return WrongSegment(side, dense_id, name, segment.area, segment.area * (1 - (iou or 0.0)), iou)

    for i, kind in kinds.fn.items():
        if overlap.truth[i - 1].area:
            yield kind, fault("truth", i)
    for j, kind in kinds.fp.items():
        yield kind, fault("prediction", j)
    for hit in matches.tp:
        yield "mask quality", fault("truth", hit.truth, hit.iou)
