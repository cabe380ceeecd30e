import pytest
from scenes import SPACE, panoptic, strip

from bench.metrics.columns import Columns
from bench.metrics.confusion import confusion_table
from bench.metrics.semantic import empty_confusion, iou_table
from bench.overlap import Overlap
from bench.types import SegmentInfo


def line() -> dict:
    """Truth: 10 px of class 1, 6 of class 2, 4 void. Panoptic map: 1 for all but 3 void; semantic rows given."""
    truth = panoptic(strip((1, 10), (2, 6), (0, 4)), {1: SegmentInfo(1), 2: SegmentInfo(2)})
    prediction = panoptic(strip((1, 10), (0, 3), (1, 7)), {1: SegmentInfo(1)})
    rows = [[0, 0, 8], [0, 6, 2], [1, 1, 6], [6, 0, 4]]
    return {"image_id": "x", "overlap": Overlap.of(truth, prediction).to_json(), "semantic": rows}


def test_by_hand() -> None:
    data = confusion_table(Columns.of([line(), line()], SPACE), SPACE, "cityscapes").to_json()
    assert set(data) == {"semantic", "panoptic"}
    one, two, three = data["panoptic"]["per_class"][:3]
    assert (one["truth_px"], one["predicted_px"], one["precision"], one["recall"]) == (20, 26, 20 / 26, 1.0)
    assert (two["precision"], two["recall"], two["confused_with"]) == (None, 0.0, {"class 1": 6, "void": 6})
    assert (three["precision"], three["recall"], three["confused_with"]) == (None, None, {})
    assert data["panoptic"]["pixels"][1][:2] == [6, 0]
    assert data["panoptic"]["classes"][-1] == "void"
    assert data["semantic"]["per_class"][0]["recall"] == 0.8


def test_void_predictions_go_by_the_rule() -> None:
    data = confusion_table(Columns.of([line()], SPACE), SPACE, "detectron2").to_json()
    assert data["semantic"]["per_class"][0]["recall"] == 1.0
    assert data["panoptic"]["per_class"][1]["confused_with"] == {"class 1": 3, "void": 3}


def test_precision_and_recall_give_iou() -> None:
    table = confusion_table(Columns.of([line()], SPACE), SPACE, "cityscapes")
    iou = iou_table(table.matrices["semantic"], "cityscapes").iou[0]
    row = table.to_json()["semantic"]["per_class"][0]
    assert 1 / (1 / row["precision"] + 1 / row["recall"] - 1) == pytest.approx(iou, abs=1e-15)
    assert confusion_table(Columns.of([], SPACE), SPACE, "cityscapes").to_json() == {}
    assert empty_confusion(SPACE).shape == table.matrices["semantic"].shape
