"""Counts of a hand-made set, and the plot of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image as PilImage
from tiny import coco_tree

from bench.datasets.registry import load_dataset
from bench.datasets.statistics import DatasetStats, dataset_stats
from bench.reports.figures.class_histogram import class_histogram


@pytest.fixture
def stats(tmp_path: Path) -> DatasetStats:
    tree = coco_tree(tmp_path)
    tree.segment(301)["iscrowd"] = 1
    tree.data["categories"].append({"id": 9, "name": "dog", "isthing": 1})
    tree.save()
    return dataset_stats(load_dataset(str(tree.yaml), tree.root))


def test_counts(stats: DatasetStats) -> None:
    assert (stats.images, stats.sizes, stats.pixels, stats.void_pixels) == (2, {"6 x 8": 2}, 96, 12)
    assert (stats.segments, stats.crowds, stats.small_share) == (9, 1, 1.0)
    assert stats.segments_per_image == {"min": 4, "median": 4.5, "max": 5}
    rows = {row.name: (row.images, row.segments, row.crowds, row.pixels) for row in stats.per_class}
    assert rows == {
        "person": (2, 3, 1, 10), "car": (2, 2, 0, 12), "road": (2, 2, 0, 32), "sky": (2, 2, 0, 30),
        "dog": (0, 0, 0, 0),
    }  # fmt: skip


def test_the_plot_has_a_row_for_each_class_that_occurs(stats: DatasetStats, tmp_path: Path) -> None:
    path = class_histogram(stats).save(tmp_path / "new" / "classes.png")
    with PilImage.open(path) as picture:
        tall = picture.height
    again = class_histogram(stats).save(tmp_path / "again.png")
    assert path.read_bytes() == again.read_bytes()
    assert tall == pytest.approx(150 * (1.5 + 4 * 0.19), abs=2)
