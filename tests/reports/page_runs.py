"""A toy data set and runs on it with predictions, for the tests of the page. The names are hostile on purpose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from report_runs import finished, line, meta, total

from bench.datasets.dataset import Dataset
from bench.reports.figures.plot import Plot
from bench.reports.page.gallery import gallery
from bench.reports.page.page import write_page
from bench.reports.views.runs import run_views
from bench.results.prediction_writer import PredictionWriter
from bench.results.run import Run
from bench.types import Categories, Category, Image, Panoptic, Prediction, Sample, SegmentInfo

HEIGHT, WIDTH, IMAGES = 40, 80, 6
CAR, ROAD, HOSTILE = 1, 2, 3
EVIL = '</script><img src=x onerror="document.title=1">'
SPACE = Categories(
    (
        Category(CAR, "car", isthing=True, color=(0, 0, 142)),
        Category(ROAD, "road", isthing=False, color=(128, 64, 128)),
        Category(HOSTILE, EVIL, isthing=False, color=(0, 200, 0)),
    )
)


def image_id(k: int) -> str:
    return f"city/{k} & <b>"


def truth(k: int) -> Panoptic:
    """Road, something hostile above it, two cars, and a column of void at the left."""
    ids = np.ones((HEIGHT, WIDTH), dtype=np.int32)
    ids[:8] = 2
    ids[12:28, 10:30] = 3
    ids[14:30, 45 + k : 65 + k] = 4
    ids[:, 0] = 0
    return Panoptic(ids, tuple(SegmentInfo(c) for c in (ROAD, HOSTILE, CAR, CAR)))


def prediction(k: int, worse: int) -> Panoptic:
    """Image k lacks k + `worse` rows of its first car; a road that is `worse` takes the second car in."""
    ids = np.array(truth(k).id_map)
    ids[12 : 12 + 2 * k + worse, 10:30] = 1
    infos = [SegmentInfo(c) for c in (ROAD, HOSTILE, CAR, CAR)]
    if worse:
        ids[ids == 4] = 1
        infos.pop()
    return Panoptic(ids, tuple(infos))


def dataset() -> Dataset:
    rgb: NDArray[np.uint8] = np.full((HEIGHT, WIDTH, 3), 90, dtype=np.uint8)
    samples = tuple(
        Sample(image_id(k), "g", lambda k=k: Image(image_id(k), rgb), lambda k=k: truth(k))  # type: ignore[misc]
        for k in range(IMAGES)
    )
    return Dataset("toy", "val", SPACE, samples, "cityscapes")


def run_of(folder: Path, name: str, worse: int, *, keep: bool = True, **changes: Any) -> Run:
    """A finished run; `keep` leaves its predictions beside it."""
    made: Mapping[str, Panoptic] = {image_id(k): prediction(k, worse) for k in range(IMAGES)}
    if keep:
        with PredictionWriter(folder / "predictions") as writer:
            for key, panoptic in made.items():
                writer.write(key, Prediction(panoptic))
            writer.finish(list(made), SPACE)
    lines = [line(image_id(k), truth(k), prediction(k, worse)) for k in range(IMAGES)]
    return finished(folder, meta(name, SPACE, **changes), total(lines, SPACE), lines=lines)


def written(runs: Sequence[Run], path: Path, data: Dataset | None, *, drawn: Sequence[Plot] = (), **more: Any) -> Path:
    """The page alone; plots are asked for, since they take seconds."""
    views = run_views(runs)
    return write_page(views, drawn, gallery(views, data, **more), path, ["classes.csv"])


def two_runs(folder: Path) -> list[Run]:
    """A good one, and a worse one with more parameters and a name that wants out of its element."""
    return [run_of(folder / "a", "good", 0), run_of(folder / "b", "<i>worse</i>", 3, parameters=9_000_000)]
