"""Image gallery of a page, with the predictions of every run, up to a total size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.datasets.dataset import Dataset
from bench.errors import DataError
from bench.io.canonical_json import canonical_json
from bench.metrics.errors import ERROR_TYPES
from bench.reports.page.payload import box_of, payload
from bench.reports.page.picks import GalleryItem, picks
from bench.reports.pictures.images import ImageView, ranked_images, read_view
from bench.reports.views.runs import RunView
from bench.results.predictions import PredictionFolder, saved_predictions
from bench.types import Sample

CAP_MB = 16.0
KINDS_SHOWN = ("worst", "best", *ERROR_TYPES)


@dataclass(frozen=True)
class Gallery:
    """Content of the gallery: `images` are payloads, `cards` refer to them; `notes` list what is missing, and why."""

    images: tuple[Mapping[str, Any], ...] = ()
    cards: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    bytes: int = 0
    cap_mb: float = CAP_MB
    left_out: int = 0


def gallery(views: Sequence[RunView], dataset: Dataset | None, cap_mb: float = CAP_MB, why: str = "") -> Gallery:
    """Build the gallery from the data set and the runs with saved predictions; `why` explains a missing data set.

    Raises DataError if the data set or the predictions contradict the stored numbers.
    """
    notes = [note for view in views if (note := missing(view))]
    shown = [view for view in views if not missing(view)]
    if dataset is None or "panoptic" not in dataset.carries:
        reason = why or "the data set has no panoptic truth" if dataset else why or "the data set is missing"
        return Gallery(notes=(f"No pictures: {reason}.", *notes))
    if not shown:
        return Gallery(notes=tuple(notes))
    return _filled(_Source(shown, dataset), round(cap_mb * 1e6), tuple(notes))


def missing(view: RunView) -> str:
    """Return why a run has no pictures, or "" if it has."""
    if not view.score.PQ.all.n or not view.views:
        return f"{view.label}: has no segments, or its image lines are missing."
    try:
        saved = saved_predictions(view.run)
    except DataError as error:  # a folder that is kept by reference is gone or has changed
        return f"{view.label}: {error}."
    if saved is None:
        return (
            f"{view.label}: its predictions are missing (they are large and not under version control). "
            "Repeat its command (see Provenance) with --overwrite, then write the report again."
        )
    return ""


class _Source:
    def __init__(self, views: Sequence[RunView], dataset: Dataset) -> None:
        self.views = views
        self.categories = views[0].run.categories
        self.samples: dict[str, Sample] = {sample.image_id: sample for sample in dataset.samples}
        self.folders: dict[int, PredictionFolder] = {
            view.color_index: folder for view in views if (folder := saved_predictions(view.run)) is not None
        }
        self.ranked = {view.color_index: {one.image_id: one for one in ranked_images(view.run)} for view in views}
        self.dataset = dataset

    def read(self, image_id: str) -> dict[int, ImageView]:
        sample = self.samples.get(image_id)
        return {
            view.color_index: read_view(
                sample, self.ranked[view.color_index][image_id], view.run, self.folders[view.color_index], self.dataset
            )
            for view in self.views
            if image_id in self.ranked[view.color_index]
        }


def _filled(source: _Source, cap_bytes: int, notes: tuple[str, ...]) -> Gallery:
    """Add picks in their order while they fit into `cap_bytes`."""
    images: dict[str, Mapping[str, Any]] = {}
    places: dict[str, int] = {}
    cards, total, left_out = [], 0, 0
    boxes: dict[str, dict[int, ImageView]] = {}
    for pick in picks(source.views):
        if pick.image_id not in images:
            read = source.read(pick.image_id)
            image = payload(pick.image_id, read, source.categories)
            size = len(canonical_json(image))
            if total + size > cap_bytes:
                left_out += 1
                # No break: a later image may be smaller and still fit.
                continue
            total += size
            places[pick.image_id] = len(images)
            images[pick.image_id], boxes[pick.image_id] = image, read
        cards.append(_card(pick, places[pick.image_id], boxes[pick.image_id][pick.k]))
    cards.sort(key=lambda card: (KINDS_SHOWN.index(card["kind"]), card["k"]))
    return Gallery(tuple(images.values()), tuple(cards), notes, total, cap_bytes / 1e6, left_out)


def _card(pick: GalleryItem, place: int, view: ImageView) -> dict[str, Any]:
    box = None
    if pick.fault is not None:
        panoptic = view.truth if pick.fault.side == "truth" else view.prediction
        box = box_of(panoptic, pick.fault.dense_id)
    return {**asdict(pick), "image": place, "box": box}
