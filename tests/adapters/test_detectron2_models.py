"""detectron2's dialect, without detectron2: contiguous ids of things and stuff, and maps without a list."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.adapters.detectron2_models import ClassTable, class_table, panoptic_of, plain_output
from bench.errors import ModelError
from bench.types import Categories, Category

SPACE = Categories(
    (
        Category(1, "person", True, (0, 0, 0)),
        Category(3, "car", True, (0, 0, 1)),
        Category(92, "banner", False, (0, 0, 2)),
        Category(184, "tree", False, (0, 0, 3)),
    )
)
SEPARATED = {
    "thing_dataset_id_to_contiguous_id": {1: 0, 3: 1},
    "stuff_dataset_id_to_contiguous_id": {92: 1, 184: 2, 0: 0},
}
JOINT = {
    "thing_dataset_id_to_contiguous_id": {1: 0, 3: 1},
    "stuff_dataset_id_to_contiguous_id": {92: 2, 184: 3},
    "label_divisor": 256,
}


def test_things_and_stuff_are_counted_apart() -> None:
    table = class_table(SEPARATED, SPACE)
    ids = np.array([[1, 1, 2], [3, 0, 2]], dtype=np.int32)
    segments = [
        {"id": 1, "isthing": True, "category_id": 1, "score": 0.9, "instance_id": 4},
        {"id": 2, "isthing": False, "category_id": 1, "area": 2},
        {"id": 3, "isthing": False, "category_id": 2, "area": 1},
        {"id": 4, "isthing": False, "category_id": 1, "area": 0},
    ]
    panoptic = panoptic_of(ids, segments, table)
    assert [(s.category_id, s.score, s.source_id) for s in panoptic.segments_info] == [
        (3, 0.9, 1), (92, None, 2), (184, None, 3),
    ]  # fmt: skip
    np.testing.assert_array_equal(panoptic.id_map == 0, ids == 0)


def test_a_map_without_a_list_codes_category_and_instance() -> None:
    table = class_table(JOINT, SPACE)
    ids = np.array([[1, 2, 512], [768, -1, -1], [0, 256, 512]], dtype=np.int64)
    panoptic = panoptic_of(ids, None, table)
    found = {s.source_id: s.category_id for s in panoptic.segments_info}
    assert found == {0: 1, 1: 1, 2: 1, 256: 3, 512: 92, 768: 184}
    np.testing.assert_array_equal(panoptic.id_map == 0, ids == -1)


def test_without_metadata_the_order_of_the_space_counts() -> None:
    assert class_table({}, SPACE) == ClassTable({0: 1, 1: 3}, {1: 92, 2: 184})


def test_a_thing_that_the_space_lacks_is_told() -> None:
    strange = {**SEPARATED, "thing_dataset_id_to_contiguous_id": {1: 0, 5: 1}}
    with pytest.raises(ModelError, match="thing of category 5"):
        class_table(strange, SPACE)


def test_a_semantic_map_counts_where_it_has_every_class() -> None:
    ids = (torch.zeros(2, 2, dtype=torch.int32), [])
    scores = torch.arange(16.0).reshape(4, 2, 2)
    assert plain_output({"panoptic_seg": ids, "sem_seg": scores}, 4)["semantic"].tolist() == [[3, 3], [3, 3]]
    assert plain_output({"panoptic_seg": ids, "sem_seg": scores[:3]}, 4)["semantic"] is None
    with pytest.raises(ModelError, match="no panoptic_seg"):
        plain_output({"instances": []}, 4)
