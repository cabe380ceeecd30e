"""A run is verified by its lines, or the reason is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from fakes import write_model, write_tree

from bench.analysis.run_scan import scan_run
from bench.datasets.registry import load_dataset
from bench.evaluation.run import run
from bench.results.run import Run, read_run


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """The same run, made twice."""
    write_tree(tmp_path / "data", 2)
    data, yaml = load_dataset("cityscapes", tmp_path / "data"), str(write_model(tmp_path))
    return [run(yaml, data, tmp_path / name) for name in ("one", "two")]


def reason(run: Run) -> str | None:
    return scan_run(run).unverified


def edited(run: Run, name: str, old: str, new: str) -> Run:
    path = run.folder / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return read_run(run.folder)


def test_a_run_is_verified_or_the_reason_is_told(runs: list[Run]) -> None:
    one, two = runs
    assert (reason(one), reason(two)) == (None, None)
    assert reason(edited(one, "images-0-of-1.jsonl", "aachen", "berlin")) == "lines changed"
    pq = json.dumps(two.score.PQ.all.PQ)
    assert reason(edited(two, "done.json", pq, "0.99")) == "totals not confirmed"
    (two.folder / "images-0-of-1.jsonl").unlink()
    assert reason(read_run(two.folder)) == "lines missing"
