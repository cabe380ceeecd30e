"""What a run looks like: its best, middling and worst images, beside the truth; and a data set at a glance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.datasets.dataset import Dataset
from bench.errors import DataError, naming
from bench.metrics.pq import Protocol, match, pq_table, tally
from bench.overlap import Overlap
from bench.predictions import PredictionFolder, file_stem, open_predictions
from bench.report.error_map import Error, error_map
from bench.report.paint import ERROR_COLORS, error_picture, overlay, scaled_ids, scaled_rgb, scaled_size
from bench.report.sheet import Swatch, page, stacked, strip, write
from bench.report.tables import percent
from bench.results import Run
from bench.types import RGB, Categories, Panoptic, Sample

PANEL_PX, THUMBNAIL_PX, TILE_PX = 1024, 400, 384  # the longer side
ERROR_NAMES: Mapping[Error, str] = {
    Error.CORRECT: "correct",
    Error.WRONG_CLASS: "wrong class",
    Error.WRONG_SEGMENT: "right class, wrong segment",
    Error.MISSED: "missed",
    Error.SPURIOUS: "spurious",
    Error.IGNORED: "void or crowd, ignored",
}


@dataclass(frozen=True)
class Pick:
    """An image and its place among all images of the run by their own PQ (1 is the best)."""

    image_id: str
    pq: float
    place: int


@dataclass(frozen=True, eq=False)
class View:
    """An image with its two maps; `codes` are (H, W) uint8 of `Error`."""

    rgb: RGB
    truth: Panoptic
    prediction: Panoptic
    codes: np.ndarray[Any, np.dtype[np.uint8]]


def overlays(run: Run, dataset: Dataset, out: Path, count: int = 6) -> list[Path]:
    """Image, truth, prediction and errors of `count` images as PNGs below `out`, and a contact sheet of them.

    The images are the best, the middling and the worst by their own PQ. DataError where the run kept no
    predictions, or the data set is not the one that it was scored on.
    """
    predictions = _predictions(run)
    categories = run.categories
    protocol: Protocol = run.score["protocol"]
    scores = image_pq(run, categories, protocol)
    samples = {sample.image_id: sample for sample in dataset.samples}
    paths, rows = [], []
    for pick in chosen(scores, count):
        view = _view(samples.get(pick.image_id), pick, predictions, dataset, categories, protocol)
        title = f"{pick.image_id}:  PQ {percent(pick.pq)},  place {pick.place} of {len(scores)}"
        path = out / f"{pick.place:04d}-{file_stem(pick.image_id)}.png"
        paths.append(write(path, _page(title, run, view, categories)))
        rows.append(strip(_panels(view, categories, THUMBNAIL_PX), title))
    if rows:
        heading = f"{run.name} on {run.dataset}: image, truth, prediction, errors"
        paths.append(write(out / "contact-sheet.png", stacked(rows, _error_legend(None), heading)))
    return paths


def _predictions(run: Run) -> PredictionFolder:
    folder = run.folder / "predictions"
    if not (folder / "predictions.json").is_file():
        raise DataError(
            f"{folder}: the run kept no predictions to draw; run the model again with --again and --save-predictions"
        )
    return open_predictions(folder)


def image_pq(run: Run, categories: Categories, protocol: Protocol) -> dict[str, float]:
    """Image id → PQ over the classes of that image; images where it is undefined are left out."""
    scores = {}
    for line in run.lines():
        with naming(f"{run.folder}, image {line['image_id']!r}"):
            pq = _pq(Overlap.from_json(line.get("overlap") or {}), categories, protocol)
        if pq is not None:
            scores[str(line["image_id"])] = pq
    return scores


def _pq(overlap: Overlap, categories: Categories, protocol: Protocol) -> float | None:
    return pq_table(tally(overlap, protocol=protocol), categories).all.pq


def chosen(scores: Mapping[str, float], count: int) -> list[Pick]:
    """A third of `count` from the top, a third around the median, a third from the bottom; all if there are fewer."""
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    ranked = [Pick(image_id, pq, place) for place, (image_id, pq) in enumerate(ordered, 1)]
    if len(ranked) <= count:
        return ranked
    best, worst = (count + 2) // 3, (count + 1) // 3
    rest = ranked[best : len(ranked) - worst]
    middling = count - best - worst
    start = (len(rest) - middling) // 2
    return [*ranked[:best], *rest[start : start + middling], *ranked[len(ranked) - worst :]]


def _view(
    sample: Sample | None, pick: Pick, predictions: PredictionFolder, dataset: Dataset,
    categories: Categories, protocol: Protocol,
) -> View:  # fmt: skip
    """Reads the files of one image; they must still give the PQ that was stored."""
    if sample is None:
        raise DataError(f"{dataset.name}:{dataset.split} has no image {pick.image_id!r}; give the run's data set")
    truth = sample.read_target()
    prediction = predictions.read(pick.image_id, categories).panoptic
    overlap = Overlap.of(truth, prediction)
    if _pq(overlap, categories, protocol) != pick.pq:
        raise DataError(
            f"{predictions.folder}: the files of image {pick.image_id!r} do not give the stored PQ of "
            f"{percent(pick.pq)}; data set or predictions changed, run again with --again"
        )
    codes = error_map(truth, prediction, match(overlap, protocol=protocol))
    return View(sample.read_image().rgb, truth, prediction, codes)


def _panels(view: View, categories: Categories, longer_px: int) -> list[RGB]:
    """Image, truth, prediction, errors; the longer side has at most `longer_px`."""
    size = scaled_size(view.truth.size, longer_px)
    rgb = scaled_rgb(view.rgb, size)
    maps = [
        overlay(rgb, scaled_ids(panoptic.id_map, size), panoptic, categories)
        for panoptic in (view.truth, view.prediction)
    ]
    return [rgb, *maps, error_picture(rgb, scaled_ids(view.codes, size))]


def _page(title: str, run: Run, view: View, categories: Categories) -> RGB:
    captions = (
        "image",
        f"truth, {len(view.truth.segments_info)} segments",
        f"{run.name}, {len(view.prediction.segments_info)} segments",
        "errors",
    )
    legends = (_class_legend((view.truth, view.prediction), categories), _error_legend(view))
    return page(title, captions, _panels(view, categories, PANEL_PX), legends)


def _class_legend(maps: Sequence[Panoptic], categories: Categories) -> list[Swatch]:
    present = {segment.category_id for panoptic in maps for segment in panoptic.segments_info}
    return [(category.color, category.name) for category in categories if category.id in present]


def _error_legend(view: View | None) -> list[Swatch]:
    """The kinds of error, with their share of the pixels of a view."""
    if view is None:
        return [(ERROR_COLORS[error], ERROR_NAMES[error]) for error in Error]
    shares = np.bincount(view.codes.ravel(), minlength=len(Error)) / view.codes.size
    return [(ERROR_COLORS[error], f"{ERROR_NAMES[error]} {percent(shares[error])} %") for error in Error]


def contact_sheet(dataset: Dataset, out: Path, count: int = 12, columns: int = 4) -> Path:
    """`count` images spread over a data set, each above its truth, as one PNG at `out`."""
    total = len(dataset.samples)
    if not total or count < 1:
        raise DataError(f"{dataset.name}:{dataset.split}: no image to show")
    shown = [dataset.samples[k * total // min(count, total)] for k in range(min(count, total))]
    tiles = [_tile(sample, dataset.categories) for sample in shown]
    rows = [strip(tiles[k : k + columns]) for k in range(0, len(tiles), columns)]
    legend = [(category.color, category.name) for category in dataset.categories]
    return write(out, stacked(rows, legend if len(legend) <= 40 else ()))


def _tile(sample: Sample, categories: Categories) -> RGB:
    truth = sample.read_target()
    size = scaled_size(truth.size, TILE_PX)
    rgb = scaled_rgb(sample.read_image().rgb, size)
    return np.concatenate([rgb, overlay(rgb, scaled_ids(truth.id_map, size), truth, categories)])
