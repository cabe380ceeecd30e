"""Selection of gallery images: the best and worst images of a run, and the worst segments of each error type."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

import numpy as np

from bench.metrics.columns import Ints, PredictedColumns, TruthColumns
from bench.metrics.errors import ERROR_TYPES, assign_error_types
from bench.metrics.matching import match_rows
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
    columns, space = view.run.stored.columns, view.run.categories
    rows = match_rows(columns, protocol=view.score.protocol)
    kinds = assign_error_types(columns, rows, view.score.protocol)
    matched = np.zeros(len(rows.truth), np.int64)  # mask quality
    zeros = [np.zeros(len(unmatched)) for unmatched in (rows.fn, rows.fp)]
    places: list[tuple[TruthColumns | PredictedColumns, Ints]] = [
        (columns.truth, rows.fn), (columns.predicted, rows.fp), (columns.truth, rows.truth)
    ]  # fmt: skip
    image, area = (np.concatenate([getattr(side, name)[at] for side, at in places]) for name in ("image", "area"))
    kind, iou = np.concatenate([kinds.fn, kinds.fp, matched]), np.concatenate([*zeros, rows.iou])
    cost = area * (1 - iou)

    def fault(k: int) -> WrongSegment:
        part = int(np.searchsorted(np.cumsum([len(at) for _, at in places]), k, side="right"))
        segments, row = places[part][0], np.concatenate([at for _, at in places])[k]
        name = space.items[space.index_of[int(segments.category_id[row])]].name
        dense_id = int(row - np.searchsorted(segments.image, image[k]))
        side: Side = "prediction" if part == 1 else "truth"
        return WrongSegment(side, dense_id, name, int(area[k]), float(cost[k]), float(iou[k]) if part == 2 else None)

    found: dict[str, list[tuple[str, WrongSegment]]] = {}
    for number, name in enumerate(ERROR_TYPES):
        held = np.flatnonzero((kind == number) & (area > 0))
        # Stable, so that of equal costs the first is taken: missed segments first, then those that are too many.
        held = held[np.lexsort((-cost[held], image[held]))]
        first = held[np.unique(image[held], return_index=True)[1]].tolist()
        worst = sorted((-cost[k], columns.image_ids[image[k]], k) for k in first)[:SEGMENTS]
        if worst:
            found[name] = [(image_id, fault(k)) for _, image_id, k in worst]
    return found
