import pytest
from scenes import SPACE, panoptic, strip
from test_score import image_lines

from bench.metrics.columns import Columns
from bench.metrics.pq import pq_stat, pq_table, sum_stats
from bench.metrics.thresholds import THRESHOLDS, threshold_table
from bench.overlap import Overlap
from bench.types import SegmentInfo


def test_each_threshold_is_pq_counted_at_it() -> None:
    lines = image_lines(20)
    found = threshold_table(Columns.of(lines, SPACE), SPACE)
    assert THRESHOLDS == (0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
    for at, table in zip(THRESHOLDS, found.tables, strict=True):
        assert table == pq_table(sum_stats(pq_stat(Overlap.from_json(line["overlap"]), at) for line in lines), SPACE)
    recognition = [table.groups.all.RQ for table in found.tables]
    assert recognition == sorted(recognition, reverse=True) and recognition[0] > recognition[-1]
    data = found.to_json()
    assert data["mean"]["all"] == pytest.approx(sum(table.groups.all.PQ for table in found.tables) / 10, abs=1e-15)
    assert list(data["thresholds"]) == [str(at) for at in THRESHOLDS]


def test_dagger_by_hand() -> None:
    """Stuff 70: IoU 0.3 in one image and 0.9 in another, and missed whole in a third; thing 1: PQ as ever."""
    stuff, thing = SegmentInfo(70), SegmentInfo(1)
    images = [
        (strip((1, 10), (2, 10)), strip((1, 3), (0, 7), (2, 10))),
        (strip((1, 10), (2, 10)), strip((1, 9), (0, 1), (2, 4), (0, 6))),
        (strip((1, 10), (2, 10)), strip((0, 10), (2, 10))),
    ]
    lines = [
        {
            "image_id": str(k),
            "overlap": Overlap.of(
                panoptic(truth, {1: stuff, 2: thing}),
                panoptic(prediction, {i: s for i, s in {1: stuff, 2: thing}.items() if i in prediction[0]}),
            ).to_json(),
        }
        for k, (truth, prediction) in enumerate(images)
    ]
    found = threshold_table(Columns.of(lines, SPACE), SPACE)
    by_id = dict(zip(SPACE.ids, found.dagger, strict=True))
    assert by_id[70] == pytest.approx((0.3 + 0.9 + 0) / 3, abs=1e-15)
    assert by_id[1] == pytest.approx(2 / 3, abs=1e-15)
    assert by_id[71] is None
    assert found.to_json()["PQ_dagger"] == {
        "all": pytest.approx((0.4 + 2 / 3) / 2), "things": pytest.approx(2 / 3), "stuff": pytest.approx(0.4), "n": 2,
    }  # fmt: skip
