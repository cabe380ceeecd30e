"""Overlays, contact sheets and the files of a report, from a run of eight small images."""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PilImage
from report_runs import SPACE, finished, line, meta, total, values

from bench.datasets.dataset import Dataset
from bench.errors import DataError
from bench.metrics.error_map import Error
from bench.reports.pictures.colors import ERROR_COLORS, overlay, scaled_ids, scaled_rgb, scaled_size
from bench.reports.pictures.images import RankedImage, best_median_worst, ranked_images
from bench.reports.pictures.layout import wrapped
from bench.reports.pictures.overlays import overlays, side_by_side
from bench.reports.report import report
from bench.results.prediction_writer import PredictionWriter
from bench.results.predictions import safe_file_stem
from bench.results.run import Run, read_run
from bench.types import Image, Panoptic, Prediction, Sample, SegmentInfo

ON_GREY = {error: tuple(round(0.72 * c + 28) for c in color) for error, color in ERROR_COLORS.items()}
HEIGHT, WIDTH, IMAGES = 24, 40, 8
CAR, ROAD = 1, 2


def scene(car_rows: int) -> Panoptic:
    """A road with a car of so many rows on it, and a column of void at the left."""
    ids = np.ones((HEIGHT, WIDTH), dtype=np.int32)
    ids[4 : 4 + car_rows, 10:20] = 2
    ids[:, 0] = 0
    return Panoptic(ids, (SegmentInfo(ROAD), SegmentInfo(CAR)))


def sample(number: int) -> Sample:
    rgb: NDArray[np.uint8] = np.full((HEIGHT, WIDTH, 3), 100, dtype=np.uint8)
    name = f"city/{number}"
    return Sample(name, "g", lambda: Image(name, rgb), lambda: scene(16))


def dataset(samples: Sequence[Sample]) -> Dataset:
    return Dataset("toy", "val", SPACE, tuple(samples), "cityscapes")


@pytest.fixture
def data() -> Dataset:
    return dataset([sample(number) for number in range(IMAGES)])


@pytest.fixture
def run(tmp_path: Path, data: Dataset) -> Run:
    """Image k has k rows of its car missing, so that the first is the best; from 8 rows on it is lost."""
    predictions = {s.image_id: scene(16 - k) for k, s in enumerate(data.samples)}
    with PredictionWriter(tmp_path / "run" / "predictions") as writer:
        for image_id, panoptic in predictions.items():
            writer.write(image_id, Prediction(panoptic))
        writer.finish(predictions, SPACE)
    lines = [line(image_id, scene(16), panoptic) for image_id, panoptic in predictions.items()]
    return finished(tmp_path / "run", meta("m"), total(lines), lines=lines)


def colors(path: Path) -> set[object]:
    with PilImage.open(path) as picture:
        counts = picture.convert("RGB").getcolors(maxcolors=picture.width * picture.height)
    return {color for _, color in counts or []}


def test_best_median_and_worst_are_drawn(run: Run, data: Dataset, tmp_path: Path) -> None:
    paths = overlays(run, data, tmp_path / "out", count=3)
    assert [path.name for path in paths] == [
        *(f"{place:04d}-{safe_file_stem(f'city/{place - 1}')}.png" for place in (1, 4, 8)), "contact-sheet.png",
    ]  # fmt: skip
    with PilImage.open(paths[0]) as picture:
        panel = 1024 // WIDTH * WIDTH
        assert picture.size[0] == 2 * panel + 8 + 2 * 16
    assert ON_GREY[Error.WRONG_CLASS] not in colors(paths[0])
    assert ON_GREY[Error.WRONG_CLASS] in colors(paths[2])


def test_few_images_are_all_drawn(run: Run, data: Dataset, tmp_path: Path) -> None:
    assert len(overlays(run, data, tmp_path / "out", count=50)) == IMAGES + 1


def test_pictures_are_the_same_bytes_every_time(run: Run, data: Dataset, tmp_path: Path) -> None:
    first, again = (overlays(run, data, tmp_path / name, count=2) for name in ("a", "b"))
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in again]


def test_a_run_without_predictions_says_what_to_do(tmp_path: Path, data: Dataset) -> None:
    bare = finished(tmp_path / "bare", meta("m"), values(0.5))
    with pytest.raises(DataError, match="--save-predictions"):
        overlays(bare, data, tmp_path / "out")


def test_another_truth_than_the_scored_one_is_noticed(run: Run, data: Dataset, tmp_path: Path) -> None:
    changed = dataset([replace(s, read_target=lambda: scene(3)) for s in data.samples])
    with pytest.raises(DataError, match="do not give the stored PQ"):
        overlays(run, changed, tmp_path / "out")


def test_an_image_that_the_data_set_lacks_is_named(run: Run, data: Dataset, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'city/7'"):
        overlays(run, data.limited(IMAGES - 1), tmp_path / "out")


@pytest.mark.parametrize(
    ("images", "count", "places"),
    [
        (9, 3, [1, 5, 9]),
        (10, 6, [1, 2, 5, 6, 9, 10]),
        (7, 6, [1, 2, 3, 4, 6, 7]),
        (5, 1, [1]),
        (2, 6, [1, 2]),
        (0, 6, []),
    ],
)
def test_chosen_images(images: int, count: int, places: list[int]) -> None:
    picks = best_median_worst([RankedImage(str(k), 1 - k / 100, k + 1) for k in range(images)], count)
    assert [pick.place for pick in picks] == places


def test_equal_images_are_ordered_by_name(tmp_path: Path) -> None:
    lines = [line(name, scene(16), scene(rows)) for name, rows in (("b", 12), ("a", 12), ("c", 16))]
    run = finished(tmp_path / "run", meta("m"), total(lines), lines=lines)
    assert [(pick.image_id, pick.place) for pick in ranked_images(run)] == [("c", 1), ("a", 2), ("b", 3)]


def test_an_overlay_pixel_by_pixel() -> None:
    """Grey 100; stuff has its colour, a thing too, and a white border runs around the thing only."""
    ids = np.array([[0, 1, 1, 1, 1], [0, 1, 2, 2, 1], [0, 1, 2, 2, 1], [0, 1, 1, 1, 1]], dtype=np.int32)
    maps = Panoptic(ids, (SegmentInfo(ROAD), SegmentInfo(CAR)))
    picture = overlay(np.full((4, 5, 3), 100, dtype=np.uint8), ids, maps, SPACE)
    road, car = ([round(0.62 * c + 38) for c in category.color] for category in (SPACE.items[1], SPACE.items[0]))
    assert picture[0, 0].tolist() == [12, 12, 12]  # void
    assert picture[0, 1].tolist() == road
    assert picture[1, 2].tolist() == car
    assert picture[0, 2].tolist() == picture[1, 3].tolist() == picture[1, 1].tolist() == [255, 255, 255]
    assert picture[3, 3].tolist() == road


def test_instances_of_a_class_have_shades_and_stuff_has_none() -> None:
    ids = np.array([[1, 1, 2, 2, 3, 3, 4, 4]], dtype=np.int32)
    maps = Panoptic(ids, tuple(SegmentInfo(c) for c in (CAR, CAR, ROAD, ROAD)))
    picture = overlay(np.zeros((1, 8, 3), dtype=np.uint8), ids, maps, SPACE)
    assert picture[0, 0].tolist() != picture[0, 2].tolist()
    assert picture[0, 5].tolist() == picture[0, 7].tolist()


def test_crowds_are_striped() -> None:
    ids = np.ones((1, 12), dtype=np.int32)
    maps = Panoptic(ids, (SegmentInfo(CAR, iscrowd=True),))
    picture = overlay(np.zeros((1, 12, 3), dtype=np.uint8), ids, maps, SPACE)
    assert len({tuple(pixel) for pixel in picture[0].tolist()}) == 2


@pytest.mark.parametrize(
    ("size", "expected"),
    [((256, 512), (512, 1024)), ((1024, 2048), (512, 1024)), ((480, 640), (480, 640)), ((2000, 1000), (1024, 512))],
)
def test_panels_fit(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert scaled_size(size, 1024) == expected


def test_scaling_keeps_ids_and_pixels() -> None:
    ids = np.array([[1, 2], [3, 4]], dtype=np.int32)
    assert scaled_ids(ids, (4, 2)).tolist() == [[1, 2], [1, 2], [3, 4], [3, 4]]
    assert scaled_ids(scaled_ids(ids, (6, 6)), (2, 2)).tolist() == ids.tolist()
    rgb = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert scaled_rgb(rgb, (4, 4))[::2, ::2].tolist() == rgb.tolist()


def test_a_legend_wraps() -> None:
    legend = [((0, 0, 0), "word")] * 5
    assert [len(row) for row in wrapped(legend, 10_000)] == [5]
    assert [len(row) for row in wrapped(legend, 1)] == [1] * 5


def test_a_report_has_bars_table_and_overlays(run: Run, data: Dataset, tmp_path: Path) -> None:
    paths = report([run], tmp_path / "report", data)
    names = [path.relative_to(tmp_path / "report").as_posix() for path in paths]
    assert names[0] == "index.html" and {"classes.png", "classes.svg", "classes.csv", "classes.tex"} <= set(names)
    assert {"headline.csv", "headline.tex", "errors.png", "cost-parameters.svg", "report.md"} <= set(names)
    assert names[-1] == "overlays/contact-sheet.png" and sum("overlays/" in name for name in names) == 7
    assert all(path.is_file() for path in paths)
    csv = (tmp_path / "report" / "classes.csv").read_text().splitlines()
    assert csv[0] == "run,category_id,name,isthing,PQ,SQ,RQ,TP,FP,FN,IoU_semantic,IoU_panoptic"
    assert csv[1].startswith("m,1,car,True,0.") and ",8,0,0,," in csv[1]
    text = (tmp_path / "report" / "report.md").read_text()
    assert "| car |" in text and "](overlays/contact-sheet.png)" in text


def test_several_runs_are_drawn_on_the_same_images(run: Run, data: Dataset, tmp_path: Path) -> None:
    other = read_run(shutil.copytree(run.folder, tmp_path / "other"))
    paths = report([run, other], tmp_path / "report", data)
    (sheet,) = (path for path in paths if path.name == "side-by-side.png")
    with PilImage.open(sheet) as picture:
        panel = 400 // WIDTH * WIDTH
        assert picture.size[0] == 4 * panel + 3 * 8 + 2 * 16  # image, truth, and the two
        assert picture.size[1] > 6 * (400 // WIDTH * HEIGHT)
    with pytest.raises(DataError, match="--save-predictions"):
        side_by_side([run, finished(tmp_path / "bare", meta("m"), values(0.5))], ["m", "n"], data, tmp_path / "no.png")
    assert not (tmp_path / "no.png").exists()


def test_a_report_without_data_set_or_predictions_leaves_the_overlays_out(
    run: Run, data: Dataset, tmp_path: Path
) -> None:
    bare = finished(tmp_path / "bare", meta("m"), values(None))
    for paths in (report([run], tmp_path / "x"), report([bare], tmp_path / "y", data)):
        assert "index.html" in [path.name for path in paths]
        assert not any("overlays" in path.parts for path in paths)
        assert "missing" in paths[0].read_text(encoding="utf-8")


def test_reports_never_import_torch() -> None:
    code = "import sys, json, bench.reports.report, bench.reports.leaderboard; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "transformers", "bench.evaluation.run", "bench.evaluation.evaluator"} & set(
        json.loads(done.stdout)
    )
