"""Decided maps as logits and instances: fused again, they are what they were."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from bench.types import Categories, Panoptic, SegmentInfo

torch = pytest.importorskip("torch")

from bench.fusion.hard_labels import SURE, instances_of, logits_of, semantic_of  # noqa: E402
from bench.fusion.presets import PRESETS  # noqa: E402
from bench.fusion.semantic_instance import fuse_instances  # noqa: E402

Space = Callable[[str], Categories]
RULE = replace(PRESETS["cascade"], min_area_px=1)
IDS = np.array([[1, 1, 1, 1, 0], [1, 2, 2, 3, 3], [4, 2, 2, 3, 3], [4, 4, 4, 4, 0]], dtype=np.int32)
INFOS = (SegmentInfo(10), SegmentInfo(13, score=0.9), SegmentInfo(13), SegmentInfo(16))


def test_a_panoptic_map_comes_back(space: Space) -> None:
    """Void, which is no class of the semantic map, stays void."""
    categories = space("sts")
    panoptic = Panoptic(IDS, INFOS)
    again = fuse_instances(
        logits_of(semantic_of(panoptic), categories), instances_of(panoptic, categories), categories, RULE
    )
    np.testing.assert_array_equal(semantic_of(again), semantic_of(panoptic))
    things = [(s.category_id, s.score) for s in again.segments_info if s.category_id == 13]
    assert things == [(13, 1.0), (13, pytest.approx(0.9))]
    assert (again.id_map == 1).sum() == 4 and ((again.id_map == 1) == (IDS == 3)).all()


def test_instances_are_in_the_boxes_around_them(space: Space) -> None:
    found = instances_of(Panoptic(IDS, INFOS), space("sts"))
    assert found.boxes.tolist() == [[1, 1, 3, 3], [3, 1, 5, 3]]
    assert found.labels.tolist() == [1, 1]
    assert all((mask == SURE).all() for mask in found.masks)
    assert len(instances_of(Panoptic(np.ones((2, 2), np.int32), (SegmentInfo(10),)), space("sts")).scores) == 0


def test_an_instance_is_where_its_mask_is(space: Space) -> None:
    ids = np.array([[1, 2], [1, 1]], dtype=np.int32)
    panoptic = Panoptic(ids, (SegmentInfo(13), SegmentInfo(10)))
    stuff = logits_of(np.full((2, 2), 10, dtype=np.int32), space("st"))
    again = fuse_instances(stuff, instances_of(panoptic, space("st")), space("st"), RULE)
    np.testing.assert_array_equal(again.id_map, ids)


def test_a_semantic_thing_without_an_instance_is_void(space: Space) -> None:
    categories = space("st")
    semantic = logits_of(np.array([[10, 13]], dtype=np.int32), categories)
    none = instances_of(Panoptic(np.ones((1, 2), np.int32), (SegmentInfo(10),)), categories)
    assert fuse_instances(semantic, none, categories, RULE).id_map.tolist() == [[1, 0]]
