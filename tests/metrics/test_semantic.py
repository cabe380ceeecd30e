import importlib
import math
import sys
import warnings
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image
from scenes import SPACE, Scene, panoptic, scenes, strip

from bench.errors import DataError
from bench.metrics.semantic import (
    add_to_confusion,
    confusion,
    confusion_of,
    empty_confusion,
    iou_table,
    semantic_from_panoptic,
    validated_rows,
)
from bench.overlap import Overlap
from bench.types import Categories, Category, SegmentInfo

THREE = Categories(tuple(Category(i, str(i), False, (i, i, i)) for i in (10, 20, 30)))


def matrix_of(rows: list[list[int]], space: Categories = THREE) -> np.ndarray:
    matrix = empty_confusion(space)
    add_to_confusion(matrix, validated_rows(rows, len(matrix) - 1))
    return matrix


@settings(max_examples=200, deadline=None)
@given(scene=scenes())
def test_overlap_and_pixels_give_the_same_confusion(scene: Scene):
    truth, prediction = scene.truth.panoptic(), scene.prediction.panoptic()
    void_last = np.array([*SPACE.ids, -1])
    predicted_ids = void_last[semantic_from_panoptic(prediction, SPACE)]
    from_pixels = confusion(semantic_from_panoptic(truth, SPACE), predicted_ids, SPACE)
    assert confusion_of(Overlap.of(truth, prediction), SPACE) == from_pixels
    assert sum(pixels for _, _, pixels in from_pixels) == truth.id_map.size


def test_crowd_counts_as_its_class_and_void_is_last():
    truth = panoptic(strip((1, 2), (2, 1), (0, 1)), {1: SegmentInfo(30), 2: SegmentInfo(10, iscrowd=True)})
    assert semantic_from_panoptic(truth, THREE).tolist() == [[2, 2, 0, 3]]


def test_a_predicted_id_outside_the_categories_is_void():
    truth = np.array([[0, 0, 0, 1, 3]], np.int32)
    predicted = np.array([[10, 255, -1, 0, 99999]], np.int32)
    assert confusion(truth, predicted, THREE) == [[0, 0, 1], [0, 3, 2], [1, 3, 1], [3, 3, 1]]


def test_an_unknown_category_of_the_truth_is_refused():
    truth = panoptic(strip((1, 2)), {1: SegmentInfo(11)})
    with pytest.raises(DataError, match="category 11 of the ground truth"):
        semantic_from_panoptic(truth, THREE)
    with pytest.raises(DataError, match="category 11 of the ground truth"):
        confusion_of(Overlap.of(truth, truth), THREE)


def test_sizes_that_differ_are_named():
    with pytest.raises(DataError, match=r"\(1, 2\) px but the semantic map is \(2, 1\)"):
        confusion(np.zeros((1, 2), np.int32), np.zeros((2, 1), np.int32), THREE)


def test_the_two_rules_part_over_void_and_over_classes_without_truth():
    """Class 10: 4 px, of them 2 found, 1 called 20, 1 void. Class 20 has no truth. Class 30: 2 px, found.
    On void of the truth 5 px are called 30."""
    rows = [[0, 0, 2], [0, 1, 1], [0, 3, 1], [2, 2, 2], [3, 2, 5]]
    cityscapes = iou_table(matrix_of(rows), "cityscapes")
    assert cityscapes.iou == (2 / 4, 0.0, 1.0)
    assert (cityscapes.miou, cityscapes.n) == (0.5, 3)
    assert (cityscapes.pixel_accuracy, cityscapes.frequency_weighted) == (4 / 6, (4 * 0.5 + 2) / 6)
    detectron2 = iou_table(matrix_of(rows), "detectron2")
    assert detectron2.iou == (2 / 3, None, 1.0)
    assert (detectron2.miou, detectron2.n) == ((2 / 3 + 1) / 2, 2)
    assert (detectron2.pixel_accuracy, detectron2.frequency_weighted) == (4 / 5, (3 * (2 / 3) + 2) / 5)


def test_nothing_to_score_is_none():
    for rule in ("cityscapes", "detectron2"):
        table = iou_table(matrix_of([[3, 0, 7]]), rule)
        assert (table.iou, table.n) == ((None, None, None), 0)
        assert (table.miou, table.pixel_accuracy, table.frequency_weighted) == (None, None, None)


def test_sums_of_images_are_one_confusion():
    rng = np.random.default_rng(5)
    truth = rng.integers(0, 4, (6, 8, 8)).astype(np.int32)
    predicted = rng.integers(0, 5, (6, 8, 8)).astype(np.int32) * 10
    apart = empty_confusion(THREE)
    for t, p in zip(truth, predicted, strict=True):
        add_to_confusion(apart, validated_rows(confusion(t, p, THREE), 3))
    together = confusion(truth.reshape(6 * 8, 8), predicted.reshape(6 * 8, 8), THREE)
    assert (apart == matrix_of(together)).all()


@pytest.fixture(scope="module")
def cityscapes_evaluation() -> ModuleType:
    """evalPixelLevelSemanticLabeling; it imports 3D-box helpers whose package only they need."""
    name = "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling"
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setitem(sys.modules, "pyquaternion", SimpleNamespace(Quaternion=None))
        return importlib.import_module(name) if importlib.util.find_spec("cityscapesscripts") else pytest.skip(
            "cityscapesScripts is not installed"
        )  # fmt: skip


def test_equals_cityscapes_scripts(cityscapes_evaluation: ModuleType, tmp_path: Path):
    """On random label-id maps with every void label on both sides and a class that never occurs."""
    reference = cityscapes_evaluation
    scored = [label for label in reference.labels if not label.ignoreInEval]
    space = Categories(tuple(Category(b.id, b.name, b.hasInstances, b.color) for b in scored))
    args = SimpleNamespace(evalInstLevelScore=False, evalPixelAccuracy=False, evalLabels=[])
    theirs = reference.generateMatrix(args)
    ours = empty_confusion(space)
    rng = np.random.default_rng(1)
    present = [label for label in args.evalLabels if label not in (16, 31)]
    for number in range(5):
        truth = rng.choice(present, (40, 60))
        predicted = np.where(rng.random(truth.shape) < 0.6, truth, rng.choice(present, truth.shape))
        files = [tmp_path / f"{side}{number}.png" for side in ("pred", "gt")]
        for file, ids in zip(files, (predicted, truth), strict=True):
            Image.fromarray(ids.astype(np.uint8)).save(file)
        reference.evaluatePair(*map(str, files), theirs, {}, {}, args)
        index = np.array([space.index_of.get(i, len(space)) for i in range(256)], np.int32)[truth]
        add_to_confusion(ours, validated_rows(confusion(index, predicted, space), len(space)))
    expected = {label.id: reference.getIouScoreForLabel(label.id, theirs, args) for label in scored}
    table = iou_table(ours, "cityscapes")
    for category, iou in zip(space, table.iou, strict=True):
        if category.name == "train":
            assert iou is None and math.isnan(expected[category.id])
        else:
            assert iou == expected[category.id]
    assert table.miou == pytest.approx(reference.getScoreAverage(expected, args), rel=1e-12)
