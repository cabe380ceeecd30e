import math
from pathlib import Path
from typing import Any

import pytest
from report_runs import finished, meta, values

from bench.io.config import from_dict
from bench.metrics.score import Score
from bench.reports.tables import class_table, headline, percent, semantic_table, to_markdown_table


def scored(pq: float | None, **more: Any) -> Score:
    return from_dict(Score, values(pq, **more), "a score")


def test_percent_has_one_decimal_and_a_dash_for_undefined() -> None:
    assert [percent(x) for x in (0.0, 0.62349, 1.0, None)] == ["0.0", "62.3", "100.0", "–"]


def test_the_headline_has_a_row_a_group_and_both_kinds_of_miou() -> None:
    table = headline("m", "toy:val", scored(0.5, SQ=0.8, RQ=0.625, semantic=0.4))
    assert table.columns == ("", "PQ", "SQ", "RQ", "classes", "mIoU semantic", "mIoU panoptic")
    assert table.rows == (
        ("all", "50.0", "80.0", "62.5", "1", "40.0", "50.0"),
        ("things", "50.0", "80.0", "62.5", "1", "", ""),
        ("stuff", "50.0", "80.0", "62.5", "1", "", ""),
    )
    assert "4 images" in table.title


def test_the_class_table_has_a_row_a_class_with_its_support() -> None:
    table = class_table(scored(None))
    dashes = ("–",) * 5
    assert table.rows == (("car", *dashes, "2", "1", "1", "thing"), ("road", *dashes, "2", "1", "1", "stuff"))
    assert len(table.columns) == len(table.rows[0])


def test_the_semantic_table_keeps_the_kinds_apart() -> None:
    assert semantic_table(scored(0.5)).rows == (("semantic", "–", "–", "–"), ("panoptic", "50.0", "50.0", "50.0"))


def test_a_markdown_table() -> None:
    text = to_markdown_table(headline("m", "toy:val", scored(0.5)))
    assert text.splitlines()[1] == "| :-- | --: | --: | --: | --: | --: | --: |"


def test_the_frame_keeps_fractions_and_order(tmp_path: Path) -> None:
    frame = finished(tmp_path, meta("m"), values(None, SQ=0.25)).to_frame()
    assert list(frame["name"]) == ["car", "road"]
    assert list(frame["SQ"]) == [0.25, 0.25]
    assert frame["PQ"].isna().all() and frame["IoU_semantic"].isna().all()
    assert list(frame["isthing"]) == [True, False]
    assert frame["PQ"].dtype == float


@pytest.mark.parametrize("field", ["PQ", "IoU_panoptic"])
def test_undefined_is_not_zero_in_the_frame(field: str, tmp_path: Path) -> None:
    assert math.isnan(finished(tmp_path, meta("m"), values(None)).to_frame()[field][0])
