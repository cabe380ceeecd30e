"""The laws of label maps, and the answers that were counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import SPACE, Scene, panoptic, scenes

from bench.datasets.label_maps import LabelMap, compose, remap, remap_prediction, remap_semantic, void_id
from bench.errors import DataError, UsageError
from bench.metrics.pq import pq_stat, pq_table
from bench.metrics.score import score
from bench.metrics.semantic import confusion, semantic_from_panoptic
from bench.overlap import Overlap
from bench.types import Categories, Category, Panoptic, Prediction, SegmentInfo


def space(*names: str, start: int = 1) -> Categories:
    """Categories of these names; a capital letter starts a thing's."""
    return Categories(tuple(Category(i, n, n[0].isupper(), (0, 0, 0)) for i, n in enumerate(names, start)))


TOWN = space("Rider", "Bike", "Car", "road", "paint", "tree", "Sign")
REDUCED = space("Wheeler", "ground", "other", start=0)
TO_REDUCED = LabelMap(
    TOWN,
    REDUCED,
    {"Rider": "Wheeler", "Bike": "Wheeler", "Car": None, "road": "ground", "paint": "ground", "tree": "other",
     "Sign": "other"},
)  # fmt: skip


def shuffled(labels: Categories, seed: int) -> LabelMap:
    """A permutation: other ids, other names, another order; a thing stays a thing."""
    rng = np.random.default_rng(seed)
    ids = rng.permutation(1000)[: len(labels)].tolist()
    renamed = [Category(i, f"new {c.name}", c.isthing, c.color) for i, c in zip(ids, labels, strict=True)]
    order = rng.permutation(len(renamed)).tolist()
    return LabelMap(labels, Categories(tuple(renamed[k] for k in order)), {c.name: f"new {c.name}" for c in labels})


def line(truth: Panoptic, prediction: Panoptic, categories: Categories) -> dict[str, Any]:
    ids = np.array([0, *(s.category_id for s in prediction.segments_info)], dtype=np.int32)[prediction.id_map]
    ids[prediction.id_map == 0] = -1
    semantic = confusion(semantic_from_panoptic(truth, categories), ids, categories)
    return {"image_id": "a", "overlap": Overlap.of(truth, prediction).to_json(), "semantic": semantic}


def totals(truth: Panoptic, prediction: Panoptic, categories: Categories) -> dict[str, Any]:
    """The score without the names and order of classes; means to 12 digits, since sums follow that order."""
    found = score([line(truth, prediction, categories)], categories, "cityscapes").to_json()
    for means in (*found["PQ"].values(), found["mIoU"], found["frequency_weighted_IoU"]):
        means.update({k: None if v is None else round(v, 12) for k, v in means.items()})
    classes = [{k: v for k, v in row.items() if k not in ("category_id", "name")} for row in found.pop("per_class")]
    return {**found, "per_class": sorted(map(repr, classes))}


@settings(max_examples=150, deadline=None)
@given(scenes(), st.integers(0, 10**6))
def test_a_permutation_leaves_every_metric_unchanged(scene: Scene, seed: int) -> None:
    labels = shuffled(SPACE, seed)
    truth, prediction = scene.truth.panoptic(), scene.prediction.panoptic()
    before = totals(truth, prediction, SPACE)
    after = totals(remap(truth, labels), remap(prediction, labels), labels.target)
    assert after == before


def random_map(source: Categories, target: Categories, rng: np.random.Generator) -> LabelMap:
    def choice(isthing: bool) -> str | None:
        allowed = [None, *(c.name for c in target if isthing or not c.isthing)]
        return allowed[int(rng.integers(len(allowed)))]

    return LabelMap(source, target, {c.name: choice(c.isthing) for c in source})


@settings(max_examples=200, deadline=None)
@given(scenes(), st.integers(0, 10**6))
def test_one_map_after_another_is_their_composition(scene: Scene, seed: int) -> None:
    rng = np.random.default_rng(seed)
    middle, last = space("Alpha", "Beta", "gamma", "delta"), space("Omega", "psi", start=7)
    first, second = random_map(SPACE, middle, rng), random_map(middle, last, rng)
    for side in (scene.truth.panoptic(), scene.prediction.panoptic()):
        twice, once = remap(remap(side, first), second), remap(side, compose(second, first))
        assert np.array_equal(twice.id_map, once.id_map)
        assert twice.segments_info == once.segments_info
    ids = rng.integers(-3, 300, (5, 7)).astype(np.int32)
    assert np.array_equal(
        remap_semantic(remap_semantic(ids, first), second), remap_semantic(ids, compose(second, first))
    )


def test_maps_compose_only_end_to_end() -> None:
    onward = LabelMap(space("ground"), space("any"), {"ground": "any"})
    with pytest.raises(UsageError, match="does not start where the first ends: 'Wheeler'"):
        compose(onward, TO_REDUCED)


@settings(max_examples=30, deadline=None)
@given(scenes())
def test_the_identity_is_a_no_op(scene: Scene) -> None:
    identity = LabelMap(SPACE, SPACE, {c.name: c.name for c in SPACE})
    truth = scene.truth.panoptic()
    before = truth.id_map.tobytes(), truth.segments_info
    assert remap(truth, identity) is truth
    assert (truth.id_map.tobytes(), truth.segments_info) == before
    ids = np.array([[1, 2, 99]], dtype=np.int32)
    assert remap_semantic(ids, identity) is ids


TRUTH = panoptic(
    [
        [60, 60, 60, 60, 60, 71],
        [10, 10, 20, 20, 30, 71],
        [10, 10, 20, 20, 30, 72],
        [40, 40, 21, 21, 30, 72],
        [40, 40, 50, 50, 40, 40],
        [00, 40, 50, 50, 40, 22],
    ],
    {
        10: SegmentInfo(1, declared_area=5), 20: SegmentInfo(2), 21: SegmentInfo(2, declared_area=2),
        22: SegmentInfo(2, iscrowd=True), 30: SegmentInfo(3), 40: SegmentInfo(4, declared_area=9),
        50: SegmentInfo(5), 60: SegmentInfo(6), 71: SegmentInfo(7, iscrowd=True), 72: SegmentInfo(7),
    },
)  # fmt: skip


def test_six_by_six_counted_by_hand() -> None:
    mapped = remap(TRUTH, TO_REDUCED)
    described = [
        (s.source_id, s.category_id, s.iscrowd, s.declared_area, area)
        for s, area in zip(mapped.segments_info, mapped.areas.tolist(), strict=True)
    ]
    assert described == [
        (10, 0, False, 5, 4),  # a rider, two bikes and a crowd of bikes: four wheelers, apart
        (20, 0, False, None, 4),
        (21, 0, False, 2, 2),
        (22, 0, True, None, 1),
        (40, 1, False, 9 + 4, 8 + 4),  # road and paint: one ground; what was not declared is counted
        (60, 2, False, None, 5 + 2 + 2),  # a tree and two signs, one of them a crowd: plain stuff
    ]
    assert mapped.id_map.tolist() == [
        [6, 6, 6, 6, 6, 6],
        [1, 1, 2, 2, 0, 6],
        [1, 1, 2, 2, 0, 6],
        [5, 5, 3, 3, 0, 6],
        [5, 5, 5, 5, 5, 5],
        [0, 5, 5, 5, 5, 4],
    ]


def test_six_by_six_scored_by_hand() -> None:
    """The prediction says tree where the road was, in the lower left; all else is right, without the crowds."""
    wrong = TRUTH.id_map.copy()
    wrong[3:5, 0:2] = 8  # the tree's position
    wrong[TRUTH.id_map == 4] = 0
    prediction = Panoptic.from_ids(wrong, {
        i + 1: info._replace(iscrowd=False) for i, info in enumerate(TRUTH.segments_info) if i != 3
    })  # fmt: skip
    truth, mapped = remap(TRUTH, TO_REDUCED), remap(prediction, TO_REDUCED)
    table = pq_table(pq_stat(Overlap.of(truth, mapped), protocol="coco"), REDUCED)
    # Declared areas count in the truth's place. Wheelers: 4 px declared as 5, 4 and 2. Ground: 8 of 12 px, declared
    # as 13. Other: 9 px of the 13 predicted.
    assert [row.PQ for row in table.per_class] == pytest.approx([(4 / 5 + 1 + 1) / 3, 8 / 13, 9 / 13])


def test_two_segments_of_one_stuff_class_stay_two() -> None:
    two = panoptic([[1, 1, 2, 3]], {1: SegmentInfo(4), 2: SegmentInfo(4), 3: SegmentInfo(3)})
    assert [s.category_id for s in remap(two, TO_REDUCED).segments_info] == [1, 1]


def test_things_that_become_stuff_are_one_plain_segment() -> None:
    signs = panoptic([[1, 1, 2, 0]], {1: SegmentInfo(7, iscrowd=True), 2: SegmentInfo(7, iscrowd=True)})
    mapped = remap(signs, TO_REDUCED)
    assert [(s.category_id, s.iscrowd) for s in mapped.segments_info] == [(2, False)]
    assert mapped.areas.tolist() == [3]


def test_scores_of_merged_stuff_are_the_best() -> None:
    signs = panoptic([[1, 1, 2, 3]], {1: SegmentInfo(7, score=0.6), 2: SegmentInfo(7, score=0.9), 3: SegmentInfo(6)})
    (only,) = remap(signs, TO_REDUCED).segments_info
    assert (only.category_id, only.score) == (2, 0.9)


def test_semantic_maps_follow() -> None:
    ids = np.array([[1, 2, 3, 4, 5, 6, 7, 0, 8, -1, 255]], dtype=np.int32)
    assert void_id(REDUCED) == 3
    assert remap_semantic(ids, TO_REDUCED).tolist() == [[0, 0, 3, 1, 1, 2, 2, 3, 3, 3, 3]]
    prediction = remap_prediction(Prediction(TRUTH, None, {"infer": 1.0}), TO_REDUCED)
    assert prediction.semantic is None
    assert prediction.seconds == {"infer": 1.0}
    assert prediction.panoptic.segments_info == remap(TRUTH, TO_REDUCED).segments_info


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ({"Car": "Van"}, "does not list the class 'road'"),
        ({"Car": "Van", "road": "Van"}, "sends the stuff class 'road' to the thing 'Van'"),
        ({"Car": "Van", "road": "lane"}, "'lane', which is not in its target space"),
        ({"Car": "Van", "road": None, "tree": None}, "lists 'tree', which is not in its source space"),
    ],
)
def test_a_map_that_is_not_one_is_refused(names: dict[str, str | None], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        LabelMap(space("Car", "road"), space("Van", "street"), names)


def test_two_classes_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="two classes are called 'road'"):
        LabelMap(space("road", "road"), space("street"), {"road": "street"})


def test_a_segment_of_no_source_class_is_an_error() -> None:
    with pytest.raises(DataError, match="category 99 is not in the source space"):
        remap(panoptic([[1]], {1: SegmentInfo(99)}), TO_REDUCED)
