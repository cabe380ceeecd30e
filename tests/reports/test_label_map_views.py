"""Label maps in a report: what they reach, what they leave, and what nobody measured."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from page_runs import CAR, EVIL, HEIGHT, IMAGES, SPACE, WIDTH, run_of, truth, written
from report_runs import line, meta, total

from bench.analysis.label_map_audit import FILE
from bench.errors import DataError
from bench.reports.views.label_maps import map_views
from bench.reports.views.runs import run_views
from bench.results.run import Run, read_run
from bench.types import Panoptic

NAMES = {"automobile": "car", "van": "car", "street": "road", "blimp": None}
MAP = {"sha256": "ab" * 32, "names": NAMES}
PIXELS = IMAGES * HEIGHT * WIDTH
AUDIT = {
    "sha256": MAP["sha256"], "pixels": {"all": 1000, "covered": 900, "lost": 60, "gained": 15},
    "to_void": {"blimp": 60}, "ceiling": {"PQ": 0.9, "mIoU": 0.8},
}  # fmt: skip


def mapped_truth(folder: Path) -> Run:
    data = {**meta("m", SPACE)["dataset"], "base": "toy-base", "label_map": MAP}
    return run_of(folder, "mapped", 0, keep=False, dataset=data, label_map=MAP)


def test_the_ceiling_is_the_score_of_who_knows_all_but_what_nothing_becomes(tmp_path: Path) -> None:
    (found,) = map_views(run_views([run_of(tmp_path, "m", 1, keep=False, label_map=MAP)]))
    lines = []
    for k in range(IMAGES):
        ids = np.where(truth(k).id_map == 2, 0, truth(k).id_map)
        infos = dict(enumerate(truth(k).segments_info, 1))
        ideal = Panoptic.from_ids(ids, {i: info for i, info in infos.items() if i != 2})
        lines.append(line(str(k), truth(k), ideal))
    best = total(lines, SPACE)
    assert found.ceiling == pytest.approx((best["PQ"]["all"]["PQ"], best["mIoU"]["panoptic"])) == (2 / 3, 2 / 3)
    assert [row.name for row in found.unreachable] == [EVIL]
    assert (found.of, found.missing) == (("predictions of m",), "")
    assert "PQ 66.7, mIoU 66.7" in found.sentences[-1]


def test_a_row_a_class_with_the_pixels_of_the_truth(tmp_path: Path) -> None:
    (found,) = map_views(run_views([run_of(tmp_path, "m", 1, keep=False, label_map=MAP)]))
    cars = sum(int(np.isin(truth(k).id_map, (3, 4)).sum()) for k in range(IMAGES))
    rows = {row[0]: row[1:] for row in found.table().rows}
    assert rows["car"] == ("automobile, van", f"{100 * cars / PIXELS:.1f}", str(2 * IMAGES))
    assert rows["road"][0] == "street" and rows[EVIL][0] == "–"
    assert rows["void"][:2] == ("blimp", f"{100 / WIDTH:.1f}")
    assert sum(row.share or 0 for row in found.rows) + (found.void_share or 0) == pytest.approx(1)
    assert SPACE.items[0].id == CAR


def test_what_a_map_did_to_the_truth_is_measured_or_said_to_be_missing(tmp_path: Path) -> None:
    run = mapped_truth(tmp_path / "run")
    (found,) = map_views(run_views([run]))
    assert found.of == ("truth", "predictions of mapped") and "Not measured" in found.missing
    text = written([run], tmp_path / "page.html", None).read_text(encoding="utf-8")
    assert "Not measured" in text and "bench data map toy:val --record RUN" in text and EVIL not in text
    (run.folder / FILE).write_text(json.dumps(AUDIT))
    (found,) = map_views(run_views([run]))
    assert found.missing == "" and "Ceiling" not in found.sentences[0]
    assert "60 %" not in found.sentences[1] and "6.0 % became void (blimp 6.0 %)" in found.sentences[1]
    assert "PQ 90.0, mIoU 80.0" in found.sentences[2]
    (run.folder / FILE).write_text(json.dumps({**AUDIT, "sha256": "cd" * 32}))
    assert map_views(run_views([run]))[0].missing


@pytest.mark.parametrize("broken", [[], {}, {**AUDIT, "pixels": {"all": 1}}, {**AUDIT, "to_void": {"blimp": "many"}}])
def test_a_kept_audit_that_is_none_is_named(tmp_path: Path, broken: Any) -> None:
    run = mapped_truth(tmp_path)
    (run.folder / FILE).write_text(json.dumps(broken))
    with pytest.raises(DataError, match=r"label_map\.json: .*delete it"):
        map_views(run_views([run]))


def test_without_the_lines_no_pixel_is_told(tmp_path: Path) -> None:
    run = run_of(tmp_path, "m", 1, keep=False, label_map=MAP)
    (run.folder / "images-0-of-1.jsonl").unlink()
    (found,) = map_views(run_views([read_run(run.folder)]))
    assert {row[2] for row in found.table().rows} == {"–"}
    assert found.ceiling == (pytest.approx(2 / 3), None)
