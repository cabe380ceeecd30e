"""PQ under the rules of other evaluators: torchmetrics by its package, EoMT's by constructed cases."""

from __future__ import annotations

import os

import numpy as np
import pytest
from numpy.typing import NDArray
from scenes import SPACE, Scene, panoptic, seeded_scene, strip

from bench.metrics.pq import PQStat, pq_stat
from bench.metrics.rules import RULES, rule_stat, rule_tables
from bench.overlap import Overlap
from bench.types import Panoptic, SegmentInfo

SCENES = int(os.environ.get("BENCH_RULE_SCENES", "300"))
INDEX = {category.id: place for place, category in enumerate(SPACE)}


def overlap(truth: Panoptic, prediction: Panoptic) -> Overlap:
    return Overlap.of(truth, prediction)


def stat(found: PQStat | None) -> tuple[float, int, int, int]:
    return (0.0, 0, 0, 0) if found is None else (found.iou_sum, found.tp, found.fp, found.fn)


@pytest.mark.parametrize("count", [SCENES, pytest.param(2000, marks=pytest.mark.parity)])
def test_torchmetrics_rule_equals_its_package(count: int) -> None:
    torch = pytest.importorskip("torch", reason="torch is not installed")
    detection = pytest.importorskip("torchmetrics.detection", reason="torchmetrics is not installed")
    things = [INDEX[c.id] for c in SPACE if c.isthing]
    stuff = [INDEX[c.id] for c in SPACE if not c.isthing]

    def colors(one: Panoptic) -> NDArray[np.int64]:
        out = np.full((*one.id_map.shape, 2), -1, dtype=np.int64)
        for number, info in enumerate(one.segments_info, 1):
            out[one.id_map == number] = INDEX[info.category_id], number
        return out

    def expected(scene: Scene) -> list[tuple[float, int, int, int]]:
        metric = detection.PanopticQuality(things, stuff, allow_unknown_preds_category=True)
        truth, prediction = (torch.from_numpy(colors(s.panoptic()))[None] for s in (scene.truth, scene.prediction))
        metric.update(prediction, truth)
        rows = (metric.iou_sum, metric.true_positives, metric.false_positives, metric.false_negatives)
        return list(zip(*(row.tolist() for row in rows), strict=True))

    rng = np.random.default_rng(11)
    for _ in range(count):
        scene = seeded_scene(rng)
        ours = rule_stat(overlap(scene.truth.panoptic(), scene.prediction.panoptic()), SPACE, "torchmetrics")
        for category, theirs in zip(SPACE, expected(scene), strict=True):
            # torchmetrics divides in single precision.
            assert stat(ours.get(category.id)) == pytest.approx(theirs, abs=1e-6)


def test_coco_and_strict_are_the_protocols() -> None:
    rng = np.random.default_rng(3)
    for scene in (seeded_scene(rng) for _ in range(200)):
        one = overlap(scene.truth.panoptic(), scene.prediction.panoptic())
        assert rule_stat(one, SPACE, "coco") == pq_stat(one)
        assert rule_stat(one, SPACE, "strict") == pq_stat(one, protocol="strict")


# A car of 10 px of which the prediction finds 4 and leaves the rest void. The values of EoMT's rule are those that the
# functions of its validation printed for this case: void is a class of its own there, which no pair leaves out.
def test_predicted_void_is_forgiven_by_torchmetrics_alone() -> None:
    truth = panoptic(strip((1, 10), (2, 10)), {1: SegmentInfo(1), 2: SegmentInfo(70)})
    prediction = panoptic(strip((7, 4), (0, 6), (5, 10)), {7: SegmentInfo(1), 5: SegmentInfo(70)})
    one = overlap(truth, prediction)
    for rule in ("coco", "strict", "eomt"):
        assert rule_stat(one, SPACE, rule)[1] == PQStat(fp=1, fn=1)
    for rule in ("torchmetrics", "torchmetrics-crowd"):
        assert rule_stat(one, SPACE, rule)[1] == PQStat.true_positive(1.0)


def test_an_object_left_void_is_no_false_negative_for_torchmetrics() -> None:
    one = overlap(panoptic(strip((1, 10)), {1: SegmentInfo(1)}), panoptic(strip((0, 10)), {}))
    assert rule_stat(one, SPACE, "torchmetrics") == rule_stat(one, SPACE, "torchmetrics-crowd") == {}
    assert rule_stat(one, SPACE, "eomt") == rule_stat(one, SPACE, "coco") == {1: PQStat(fn=1)}


def test_predictions_in_a_crowd() -> None:
    truth = panoptic(strip((1, 12), (2, 10)), {1: SegmentInfo(70), 2: SegmentInfo(1, iscrowd=True)})
    prediction = panoptic(strip((3, 12), (4, 5), (5, 5)), {3: SegmentInfo(70), 4: SegmentInfo(1), 5: SegmentInfo(1)})
    one = overlap(truth, prediction)
    for rule in ("coco", "strict", "eomt", "torchmetrics-crowd"):
        assert set(rule_stat(one, SPACE, rule)) == {70}
    assert rule_stat(one, SPACE, "torchmetrics")[1] == PQStat(fp=2, fn=1)


def test_stuff_in_two_segments_is_one() -> None:
    truth = panoptic(strip((1, 20)), {1: SegmentInfo(70)})
    prediction = panoptic(strip((3, 10), (4, 10)), {3: SegmentInfo(70), 4: SegmentInfo(70)})
    one = overlap(truth, prediction)
    assert rule_stat(one, SPACE, "coco") == {70: PQStat(fp=2, fn=1)}
    for rule in ("eomt", "torchmetrics", "torchmetrics-crowd"):
        assert rule_stat(one, SPACE, rule) == {70: PQStat.true_positive(1.0)}


def test_a_crowd_with_the_lowest_id_takes_the_stuff_of_its_image_out_of_eomt() -> None:
    truth = panoptic(strip((4, 12), (2, 10)), {4: SegmentInfo(70, source_id=4), 2: SegmentInfo(1, True, source_id=2)})
    one = overlap(truth, panoptic(strip((3, 22)), {3: SegmentInfo(70)}))
    assert rule_stat(one, SPACE, "coco")[70].tp == 1
    # Neither matched nor missed, and forgiven: 12 of 22 px lie on what is taken for a crowd of stuff.
    assert rule_stat(one, SPACE, "eomt") == {}


def test_classes_that_do_not_occur_count_for_eomt() -> None:
    truth = panoptic(strip((1, 20)), {1: SegmentInfo(70)})
    lines = [{"image_id": "1", "overlap": overlap(truth, truth)}]
    tables = rule_tables(lines, SPACE)
    assert set(tables) == set(RULES)
    means = {rule: table.groups.all.PQ for rule, table in tables.items()}
    assert means.pop("eomt") == pytest.approx(1 / len(SPACE))
    assert set(means.values()) == {1.0}
