"""Pictures of a run's best, median and worst images beside the truth, and contact sheets of data sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from bench.datasets.dataset import Dataset
from bench.errors import DataError
from bench.metrics.error_map import Error
from bench.reports.pictures.colors import ERROR_COLORS, error_picture, overlay, scaled_ids, scaled_rgb, scaled_size
from bench.reports.pictures.images import ImageView, best_median_worst, places, ranked_images, read_view
from bench.reports.pictures.layout import Swatch, hstack, page, vstack, write
from bench.reports.tables import percent
from bench.results.predictions import PredictionFolder, safe_file_stem, saved_predictions
from bench.results.run import Run
from bench.types import RGB, Categories, Panoptic

PANEL_PX, THUMBNAIL_PX = 1024, 400  # the longer side
MOST_SWATCHES = 40  # of a legend that names every class
ERROR_NAMES: Mapping[Error, str] = {
    Error.CORRECT: "correct",
    Error.WRONG_CLASS: "wrong class",
    Error.WRONG_SEGMENT: "right class, wrong segment",
    Error.MISSED: "missed",
    Error.SPURIOUS: "spurious",
    Error.IGNORED: "void or crowd, ignored",
}


def overlays(run: Run, dataset: Dataset, out: Path, count: int = 6) -> list[Path]:
    """Write image, truth, prediction and errors of `count` images as PNGs below `out`, with a contact sheet.

    The images are the best, those around the median and the worst by their own PQ. Raises DataError if the run has no
    saved predictions, or was scored on a different data set.
    """
    predictions = _predictions(run)
    samples = {sample.image_id: sample for sample in dataset.samples}
    ranked = ranked_images(run)
    paths, rows = [], []
    for pick in best_median_worst(ranked, count):
        view = read_view(samples.get(pick.image_id), pick, run, predictions, dataset)
        title = f"{pick.image_id}:  PQ {percent(pick.pq)},  place {pick.place} of {len(ranked)}"
        path = out / f"{pick.place:04d}-{safe_file_stem(pick.image_id)}.png"
        paths.append(write(path, _page(title, run, view)))
        rows.append(hstack(_panels(view, run.categories, THUMBNAIL_PX), title))
    if rows:
        heading = f"{run.name} on {run.dataset}: image, truth, prediction, errors"
        paths.append(write(out / "contact-sheet.png", vstack(rows, _error_legend(None), heading)))
    return paths


def side_by_side(runs: Sequence[Run], labels: Sequence[str], dataset: Dataset, path: Path, count: int = 6) -> Path:
    """Write one PNG with the same images of several runs: image, truth, and each prediction with its PQ.

    The images are the best, those around the median and the worst by mean PQ over the runs. Raises as `overlays`.
    """
    opened = [_predictions(run) for run in runs]
    ranked = [{pick.image_id: pick for pick in ranked_images(run)} for run in runs]
    # An image is shown only if its PQ is defined for every run, so that the mean is over all of them.
    shared = {
        image_id: sum(picks[image_id].pq for picks in ranked) / len(runs)
        for image_id in ranked[0]
        if all(image_id in picks for picks in ranked)
    }
    samples = {sample.image_id: sample for sample in dataset.samples}
    rows = []
    for mean in best_median_worst(places(shared), count):
        picks = [of_run[mean.image_id] for of_run in ranked]
        views = [
            read_view(samples.get(mean.image_id), pick, run, predictions, dataset)
            for pick, run, predictions in zip(picks, runs, opened, strict=True)
        ]
        painted = [_painted(view, dataset.categories, THUMBNAIL_PX) for view in views]
        said = [f"{label} {percent(pick.pq)}" for label, pick in zip(labels, picks, strict=True)]
        title = f"{mean.image_id}, image PQ:  {',  '.join(said)}"
        rows.append(hstack([*painted[0][:2], *(prediction for _, _, prediction in painted)], title))
    heading = f"{runs[0].dataset}: image, truth, {', '.join(labels)}"
    legend = [(category.color, category.name) for category in dataset.categories]
    return write(path, vstack(rows, legend if len(legend) <= MOST_SWATCHES else (), heading))


def _predictions(run: Run) -> PredictionFolder:
    predictions = saved_predictions(run)
    if predictions is None:
        raise DataError(
            f"{run.folder / 'predictions'}: the run kept no predictions to draw; run the model again with --overwrite "
            "and --save-predictions"
        )
    return predictions


def _panels(view: ImageView, categories: Categories, longer_px: int) -> list[RGB]:
    """Return image, truth, prediction and errors; the longer side is at most `longer_px`."""
    rgb, truth, prediction = _painted(view, categories, longer_px)
    size = scaled_size(view.truth.size, longer_px)
    return [rgb, truth, prediction, error_picture(rgb, scaled_ids(view.codes, size))]


def _painted(view: ImageView, categories: Categories, longer_px: int) -> tuple[RGB, RGB, RGB]:
    size = scaled_size(view.truth.size, longer_px)
    rgb = scaled_rgb(view.rgb, size)
    truth, prediction = (
        overlay(rgb, scaled_ids(panoptic.id_map, size), panoptic, categories)
        for panoptic in (view.truth, view.prediction)
    )
    return rgb, truth, prediction


def _page(title: str, run: Run, view: ImageView) -> RGB:
    captions = (
        "image",
        f"truth, {len(view.truth.segments_info)} segments",
        f"{run.name}, {len(view.prediction.segments_info)} segments",
        "errors",
    )
    legends = (_class_legend((view.truth, view.prediction), run.categories), _error_legend(view))
    return page(title, captions, _panels(view, run.categories, PANEL_PX), legends)


def predicted_page(title: str, rgb: RGB, prediction: Panoptic, categories: Categories) -> RGB:
    size = scaled_size(prediction.size, PANEL_PX)
    shown = scaled_rgb(rgb, size)
    painted = overlay(shown, scaled_ids(prediction.id_map, size), prediction, categories)
    captions = ("image", f"{len(prediction.segments_info)} segments")
    return page(title, captions, [shown, painted], [_class_legend((prediction,), categories)])


def _class_legend(maps: Sequence[Panoptic], categories: Categories) -> list[Swatch]:
    present = {segment.category_id for panoptic in maps for segment in panoptic.segments_info}
    return [(category.color, category.name) for category in categories if category.id in present]


def _error_legend(view: ImageView | None) -> list[Swatch]:
    if view is None:
        return [(ERROR_COLORS[error], ERROR_NAMES[error]) for error in Error]
    shares = np.bincount(view.codes.ravel(), minlength=len(Error)) / view.codes.size
    return [(ERROR_COLORS[error], f"{ERROR_NAMES[error]} {percent(shares[error])} %") for error in Error]
