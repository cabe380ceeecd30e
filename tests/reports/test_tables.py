import math
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from report_runs import finished, meta, values

from bench.io.config import from_dict
from bench.metrics.score import Score
from bench.reports.tables import (
    LONGEST,
    Table,
    class_table,
    gigas,
    headline,
    percent,
    semantic_table,
    to_latex_table,
    to_markdown_table,
)  # fmt: skip


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


BOARD = Table(
    "100 % of a_b & <c> − d[1] × 2² ≤ †, 30 images", ("run", "PQ", "mIoU semantic", "things", "params (M)"),
    (
        ("[x]_#1", "58.1 (56.5 to 59.6)", "–", "-1.2* (-2.5 to +0.1)", "2.4"),
        ("*y|~^\\", "58.1 (55.9 to 60.2)", "–", "", "10.0"),
        ("{z}$", "9.5 (8.0 to 11.0)", "–", "–", "–"),
    ),
    highest=("PQ", "mIoU semantic", "things"), lowest=("params (M)",),
)  # fmt: skip


def test_latex_is_a_float_with_caption_and_label_whose_rows_are_even() -> None:
    text = to_latex_table(BOARD, label="board")
    for command in (r"\toprule", r"\midrule", r"\bottomrule", r"\caption{", r"\label{tab:board}"):
        assert text.count(command) == 1
    assert re.findall(r"\\begin\{(\w+)\}", text) == re.findall(r"\\end\{(\w+)\}", text)[::-1] == ["table", "tabular"]
    assert text.replace(r"\{", "").replace(r"\}", "").count("{") == text.replace(r"\}", "").replace(r"\{", "").count(
        "}"
    )
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 1 + 2 * 3 and {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {3}
    assert r"\begin{tabular}{@{}lrrr@{}}" in text
    assert r"\caption{100 \% of a\_b \& $<$c$>$ $-$ d{[}1] $\times$ 2$^2$ $\leq$ \dag{}, 30 images}" in text


def test_latex_has_the_best_in_bold_and_no_column_without_a_value() -> None:
    text = to_latex_table(BOARD)
    assert "semantic" not in text and r"\label" not in text
    assert re.findall(r"\\textbf\{(.*?)\}", text) == ["58.1", "2.4", "58.1"]
    assert r"\scriptsize 56.5--59.6 & \scriptsize $-$2.5 to +0.1" in text and "$-$1.2{*}" in text
    pair = Table("t", ("class", "A", "B"), (("car", "1.0", "2.0"), ("bus", "4.0", "3.0")), ("A", "B"), by_row=True)
    assert pair.best() == {(0, 2), (1, 1)}
    assert Table("t", ("run", "PQ"), (("one", "1.0"),), ("PQ",)).best() == set(), "one run has nothing to be best of"


def test_a_latex_table_longer_than_a_page_becomes_several() -> None:
    rows = tuple((f"class {k}", f"{k}.0") for k in range(2 * LONGEST + 1))
    text = to_latex_table(Table("Classes", ("class", "PQ"), rows, ("PQ",)), label="classes")
    assert text.count(r"\begin{table}") == 3 and r"\caption{Classes (3 of 3)}" in text and r"{tab:classes-2}" in text
    assert all(f"class {k} &" in text for k in range(len(rows))) and text.count(r"\textbf") == 1


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="needs pdflatex: apt-get install texlive-latex-recommended")
def test_latex_compiles(tmp_path: Path) -> None:
    body = to_latex_table(BOARD, label="board")
    page = rf"\documentclass{{article}}\usepackage{{booktabs}}\begin{{document}}{body}\end{{document}}"
    (tmp_path / "page.tex").write_text(page, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "page.tex"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout[-2000:]


def test_a_column_of_counts_has_the_decimals_of_its_least() -> None:
    assert gigas([3_935_686_144, 235_600_000_000, None]) == ["3.94", "235.60", "–"]
    assert gigas([235_600_000_000, 12_300_000_000]) == ["235.6", "12.3"]
    assert gigas([None]) == ["–"]
