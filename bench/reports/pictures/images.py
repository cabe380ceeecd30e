"""Images of a run ranked by PQ, and one image with its maps and matches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from bench.datasets.dataset import Dataset
from bench.errors import DataError, error_context
from bench.metrics.columns import NO_SEGMENTS
from bench.metrics.error_map import error_map
from bench.metrics.image_statistics import image_stats
from bench.metrics.matching import Matches, Protocol, match
from bench.metrics.pq import PQStat, pq_of, pq_stat
from bench.overlap import Overlap
from bench.reports.tables import percent
from bench.results.predictions import PredictionFolder
from bench.results.run import Run
from bench.types import RGB, Panoptic, Sample


@dataclass(frozen=True)
class RankedImage:
    """An image and its rank among all images of the run by their own PQ (1 is the best)."""

    image_id: str
    pq: float
    place: int


@dataclass(frozen=True, eq=False)
class ImageView:
    """An image with ground truth, prediction and their matches.

    `semantic` holds (H, W) category ids of the model's semantic output, None if the run did not save it.
    """

    rgb: RGB
    truth: Panoptic
    prediction: Panoptic
    matches: Matches
    semantic: NDArray[np.int32] | None

    @cached_property
    def codes(self) -> NDArray[np.uint8]:
        return error_map(self.truth, self.prediction, self.matches)


def ranked_images(run: Run) -> list[RankedImage]:
    """Return the images of a run by falling PQ; images with undefined PQ are left out."""
    columns = run.stored.columns
    tallies: dict[int, dict[int, PQStat]] = defaultdict(dict)
    with error_context(run.folder):
        columns.require("overlap", NO_SEGMENTS)
        for (image, index), one in image_stats(columns, run.categories, run.score.protocol).items():
            tallies[image][run.categories.ids[index]] = one
    scores = {columns.image_ids[image]: pq_of(one) for image, one in tallies.items()}
    return places({image_id: pq for image_id, pq in scores.items() if pq is not None})


def places(scores: Mapping[str, float]) -> list[RankedImage]:
    ordered = sorted(scores.items(), key=lambda item: (-item[1], item[0]))
    return [RankedImage(image_id, pq, place) for place, (image_id, pq) in enumerate(ordered, 1)]


def best_median_worst(ranked: Sequence[RankedImage], count: int) -> list[RankedImage]:
    """Return a third of `count` from the top, around the median and from the bottom each; all if there are fewer."""
    if len(ranked) <= count:
        return list(ranked)
    best, worst = (count + 2) // 3, (count + 1) // 3
    rest = ranked[best : len(ranked) - worst]
    middling = count - best - worst
    start = (len(rest) - middling) // 2
    return [*ranked[:best], *rest[start : start + middling], *ranked[len(ranked) - worst :]]


def read_view(
    sample: Sample | None, pick: RankedImage, run: Run, predictions: PredictionFolder, dataset: Dataset
) -> ImageView:
    """Read one image with truth and prediction. Raises DataError if they do not give the stored PQ."""
    if sample is None:
        raise DataError(f"{dataset.name}:{dataset.split} has no image {pick.image_id!r}; give the run's data set")
    truth = sample.read_target()
    made = predictions.read(pick.image_id, run.categories)
    overlap = Overlap.of(truth, made.panoptic)
    protocol: Protocol = run.score.protocol
    # A picture of other predictions than the scored ones would illustrate a number that it does not show.
    if pq_of(pq_stat(overlap, protocol=protocol)) != pick.pq:
        raise DataError(
            f"{predictions.folder}: the files of image {pick.image_id!r} do not give the stored PQ of "
            f"{percent(pick.pq)}; data set or predictions changed, run again with --overwrite"
        )
    matches = match(overlap, protocol=protocol)
    return ImageView(sample.read_image().rgb, truth, made.panoptic, matches, made.semantic)
