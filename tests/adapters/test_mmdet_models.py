"""mmdetection's dialect, without mmdetection: the ids, the classes, the config."""

from __future__ import annotations

import numpy as np
import pytest

from bench.adapters.mmdet_models import class_names, class_order, drop_pretrained, panoptic_of
from bench.errors import DataError, ModelError
from bench.types import Categories, Category

SPACE = Categories(
    (
        Category(7, "road", False, (0, 0, 0)),
        Category(24, "person", True, (0, 0, 1)),
        Category(11, "building", False, (0, 0, 2)),
        Category(26, "car", True, (0, 0, 3)),
    )
)


def test_ids_are_class_and_instance_and_void_is_the_number_of_classes() -> None:
    ids = np.array([[0, 0, 1001, 2001, 4], [2, 2, 1003, 4, 4]], dtype=np.int32)
    panoptic = panoptic_of(ids, [24, 26, 7, 11])
    found = {info.source_id: info.category_id for info in panoptic.segments_info}
    assert found == {0: 24, 2: 7, 1001: 26, 1003: 11, 2001: 26}
    np.testing.assert_array_equal(panoptic.id_map == 0, ids == 4)


def test_a_class_that_nobody_has_is_an_error() -> None:
    with pytest.raises((DataError, IndexError)):
        panoptic_of(np.array([[5]], dtype=np.int32), [24, 26, 7, 11])


def test_classes_go_by_name_where_the_checkpoint_names_them() -> None:
    names = class_names({"meta": {"dataset_meta": {"classes": ("building", "car", "person", "road")}}})
    assert class_order(names, SPACE) == [3, 2, 0, 1]
    assert class_names({"meta": {"CLASSES": ["a", "b"]}}) == ["a", "b"]
    assert class_names({"meta": {"dataset_meta": {"CLASSES": ("a",)}}}) == ["a"]
    assert class_names({"meta": {}}) is None and class_names({"state_dict": {}}) is None


def test_without_names_things_come_before_stuff() -> None:
    assert class_order(None, SPACE) == [2, 0, 3, 1]


@pytest.mark.parametrize("names", [["road", "person", "building", "tram"], ["road"], ["road"] * 4 + ["car"]])
def test_classes_that_are_not_the_space_s_are_told(names: list[str]) -> None:
    with pytest.raises(ModelError, match="classes and the label space 4"):
        class_order(names, SPACE)


def test_no_part_of_a_config_fetches_weights() -> None:
    config = {
        "backbone": {"init_cfg": {"type": "Pretrained", "checkpoint": "torchvision://resnet50"}},
        "heads": [{"init_cfg": {"type": "Pretrained", "checkpoint": "x"}}, {"init_cfg": {"type": "Xavier"}}],
        "init_cfg": None,
    }
    drop_pretrained(config)
    assert config == {"backbone": {"init_cfg": None}, "heads": [{"init_cfg": None}, {"init_cfg": {"type": "Xavier"}}],
                      "init_cfg": None}  # fmt: skip
