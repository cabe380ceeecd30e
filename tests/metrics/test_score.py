import itertools
import json
import weakref
from collections.abc import Iterator

import numpy as np
import pytest
from scenes import SPACE, panoptic

from bench.errors import DataError, UsageError
from bench.metrics.score import score
from bench.metrics.semantic import confusion, semantic_from_panoptic
from bench.overlap import Overlap
from bench.types import Panoptic, SegmentInfo


def _scene(rng: np.random.Generator) -> tuple[Panoptic, Panoptic]:
    truth = np.sort(rng.integers(0, 7, (12, 16)), axis=1)
    prediction = np.where(rng.random(truth.shape) < 0.15, rng.integers(0, 7, truth.shape), truth)
    infos = {i: SegmentInfo(SPACE.ids[i % 3 + rng.integers(0, 2)]) for i in range(1, 7)}
    return tuple(
        panoptic(ids, {i: info for i, info in infos.items() if (ids == i).any()}) for ids in (truth, prediction)
    )


def image_lines(count: int, *, semantic: bool = True) -> list[dict]:
    rng = np.random.default_rng(3)
    lines = []
    for number in range(count):
        truth, prediction = _scene(rng)
        ids = rng.choice(SPACE.ids, truth.size)
        rows = confusion(semantic_from_panoptic(truth, SPACE), ids, SPACE) if semantic else None
        overlap = Overlap.of(truth, prediction).to_json()
        lines.append({"image_id": str(number), "group": "g", "overlap": overlap, "semantic": rows})
    return json.loads(json.dumps(lines))


def test_the_shape_of_the_json():
    data = score(image_lines(4), SPACE, "cityscapes").to_json()
    assert list(data) == [
        "PQ", "mIoU", "pixel_accuracy", "frequency_weighted_IoU",
        "per_class", "images", "protocol", "reference_deviations", "ignored",
    ]  # fmt: skip
    assert {name: set(group) for name, group in data["PQ"].items()} == {
        name: {"PQ", "SQ", "RQ", "n"} for name in ("all", "things", "stuff")
    }
    for name in ("mIoU", "pixel_accuracy", "frequency_weighted_IoU"):
        assert set(data[name]) == {"semantic", "panoptic"}
        assert all(0 < value < 1 for value in data[name].values())
    assert [row["category_id"] for row in data["per_class"]] == list(SPACE.ids)
    assert set(data["per_class"][0]) == {
        "category_id", "name", "isthing", "PQ", "SQ", "RQ", "TP", "FP", "FN", "IoU"
    }  # fmt: skip
    assert data["per_class"][-1] == {
        "category_id": 200, "name": "class 200", "isthing": False, "PQ": None, "SQ": None, "RQ": None,
        "TP": 0, "FP": 0, "FN": 0, "IoU": {"semantic": 0.0, "panoptic": None},
    }  # fmt: skip
    assert (data["images"], data["protocol"], data["reference_deviations"]) == (4, "coco", [])
    json.dumps(data, allow_nan=False)


def test_every_order_gives_the_identical_score():
    lines = image_lines(6)
    expected = score(lines, SPACE, "cityscapes")
    for order in itertools.islice(itertools.permutations(lines), 0, None, 60):
        assert score(order, SPACE, "cityscapes") == expected


def test_without_a_semantic_output_its_columns_are_none():
    data = score(image_lines(2, semantic=False), SPACE, "cityscapes").to_json()
    assert data["mIoU"]["semantic"] is None and data["mIoU"]["panoptic"] is not None
    assert data["per_class"][0]["IoU"]["semantic"] is None


def test_semantic_labels_alone_have_no_pq():
    lines = [{**line, "overlap": None} for line in image_lines(2)]
    data = score(lines, SPACE, "cityscapes").to_json()
    assert data["PQ"]["all"] == {"PQ": None, "SQ": None, "RQ": None, "n": 0}
    assert data["mIoU"]["panoptic"] is None and data["mIoU"]["semantic"] is not None


def test_the_rule_is_for_the_semantic_output_alone():
    lines = image_lines(3)
    cityscapes, detectron2 = (score(lines, SPACE, rule).to_json() for rule in ("cityscapes", "detectron2"))
    assert cityscapes["mIoU"]["semantic"] < detectron2["mIoU"]["semantic"]  # class 200 is predicted, not there
    assert cityscapes["mIoU"]["panoptic"] == detectron2["mIoU"]["panoptic"]


def test_no_images_at_all():
    data = score([], SPACE, "cityscapes").to_json()
    assert (data["images"], data["PQ"]["all"]["PQ"], data["mIoU"]) == (0, None, {"semantic": None, "panoptic": None})


def test_images_with_and_without_a_semantic_map_are_refused():
    with pytest.raises(DataError, match="1 of 3 images have no semantic map"):
        score([*image_lines(2), *image_lines(1, semantic=False)], SPACE, "cityscapes")


def test_strict_says_how_it_departs_from_the_reference():
    assert len(score(image_lines(1), SPACE, "cityscapes", "strict").to_json()["reference_deviations"]) == 2
    with pytest.raises(UsageError, match="unknown protocol 'loose'"):
        score([], SPACE, "cityscapes", "loose")  # type: ignore[arg-type]


class Line(dict):
    """An image line that can be watched: dicts take no weak references."""


def test_no_line_is_held_when_the_next_is_read():
    texts = [json.dumps(line) for line in image_lines(3)]
    read: list[weakref.ref[Line]] = []

    def lines() -> Iterator[Line]:
        for text in texts * 5:
            assert all(line() is None for line in read[:-1])
            line = Line(json.loads(text))
            read.append(weakref.ref(line))
            yield line
            del line

    assert score(lines(), SPACE, "cityscapes").images == 15
