"""What counts as moved, and what makes a baseline unfit to compare with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench.analysis.gate import GateResult, MetricChange, compare_to_baseline, read_baseline, write_baseline
from bench.analysis.suite import Outcome, Suite, SuiteRun, Tolerances
from bench.errors import DataError, ModelError, NotComparable, UsageError
from bench.metrics.pq import GroupQuality, Quality
from bench.metrics.score import ClassScore, Score, SemanticQuality
from bench.reports.gate import moved_table, to_markdown, write_junit
from bench.results.records import DatasetRecord, Done, PredictionsRecord, RunMetadata
from bench.results.run import Run


def run_of(pq: float = 0.4, car: float | None = 0.4, truth: str = "a") -> Run:
    means = Quality(0.4, 0.8, 0.5, 1)
    cars = ClassScore(1, "car", True, car, 0.8, 0.5, 1, 1, 1, SemanticQuality(0.5, 0.45))
    score = Score(
        PQ=GroupQuality(replace(means, PQ=pq), means, Quality(None, None, None, 0)), mIoU=SemanticQuality(0.5, 0.45),
        per_class=(cars,), images=2, protocol="coco",
    )  # fmt: skip
    meta = RunMetadata(format=1, name="m", model=PredictionsRecord("0"), dataset=DatasetRecord("d", "val", ()))
    return Run(Path("nowhere"), meta, Done("today", "0", {"truth": truth, "pq_version": 1}, score))


def outcome(run: Run | None, kind: str = "model", error: ModelError | None = None) -> Outcome:
    return Outcome(SuiteRun("m", "d", **{kind: "x"}), run, error)


def verdict(before: Run, now: Run, folder: Path, kind: str = "model") -> GateResult:
    write_baseline(folder / "b.json", [outcome(before, kind)])
    suite = Suite("t", (outcome(now, kind).planned,), Tolerances(headline=0.2, per_class=2.0))
    return compare_to_baseline(suite, [outcome(now, kind)], read_baseline(folder / "b.json"))


def test_an_unchanged_run_passes(tmp_path: Path) -> None:
    said = verdict(run_of(), run_of(), tmp_path)
    assert not said.failed and len(said.checks) == 13
    assert "all 13 metrics within tolerance" in to_markdown(said)


@pytest.mark.parametrize(
    ("kind", "pq", "car", "failed"),
    [
        ("model", 0.4019, 0.4, []),
        ("model", 0.395, 0.4, ["PQ all"]),
        ("model", 0.405, 0.4, ["PQ all"]),  # what got better moved, too: the baseline is stale
        ("model", 0.4, 0.385, []),
        ("model", 0.4, 0.379, ["PQ of car"]),
        ("model", 0.4, None, ["PQ of car"]),
        ("predictions", 0.400001, 0.4, ["PQ all"]),
        ("predictions", 0.4 + 1e-15, 0.4, []),
    ],
)
def test_what_moves_beyond_its_tolerance_fails(
    kind: str, pq: float, car: float | None, failed: list[str], tmp_path: Path
) -> None:
    said = verdict(run_of(), run_of(pq, car), tmp_path, kind)
    assert [check.metric for check in said.failed] == failed
    assert said.to_json()["passed"] is not bool(failed)


def test_other_truth_is_not_a_regression(tmp_path: Path) -> None:
    with pytest.raises(NotComparable, match="baseline in truth"):
        verdict(run_of(), run_of(truth="b"), tmp_path)


def test_runs_that_only_one_side_knows(tmp_path: Path) -> None:
    write_baseline(tmp_path / "b.json", [outcome(run_of())])
    other = Outcome(SuiteRun("n", "d", model="x"), run_of())
    with pytest.raises(NotComparable, match="only in the baseline"):
        compare_to_baseline(Suite("t", (other.planned,)), [other], read_baseline(tmp_path / "b.json"))


def test_a_failed_run_writes_no_baseline_and_is_no_pass(tmp_path: Path) -> None:
    failed = outcome(None, error=ModelError("it broke"))
    with pytest.raises(ModelError, match="it broke"):
        write_baseline(tmp_path / "b.json", [failed])
    assert not (tmp_path / "b.json").exists()
    write_baseline(tmp_path / "b.json", [outcome(run_of())])
    with pytest.raises(ModelError, match="it broke"):
        compare_to_baseline(Suite("t", (failed.planned,)), [failed], read_baseline(tmp_path / "b.json"))


def test_a_missing_or_broken_baseline_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--update"):
        read_baseline(tmp_path / "b.json")
    for broken in ({}, [], {"format": 1, "runs": {"m": {"key": 1}}}, {"format": 2, "runs": {}}):
        (tmp_path / "b.json").write_text(json.dumps(broken))
        with pytest.raises(DataError, match=r"b\.json: .*--update"):
            read_baseline(tmp_path / "b.json")


def test_junit_and_markdown_name_what_moved(tmp_path: Path) -> None:
    checks = (MetricChange("m|n", "PQ all", 40.0, 39.0, 0.2), MetricChange("m|n", "mIoU panoptic", 40.0, 40.0, 0.2))
    said = GateResult(checks, {"m|n": 1.5})
    write_junit(said, tmp_path / "junit.xml")
    suite = ElementTree.parse(tmp_path / "junit.xml").getroot().find("testsuite")
    assert suite is not None and (suite.get("tests"), suite.get("failures"), suite.get("time")) == ("2", "1", "1.500")
    assert [case.get("name") for case in suite if case.find("failure") is not None] == ["PQ all"]
    assert moved_table(said).rows == (("m|n", "PQ all", "40.000", "39.000", "-1.000", "0.2"),)
    assert "1 of 2 metrics moved" in to_markdown(said) and "m\\|n" in to_markdown(said)


def test_a_suite_says_what_is_wrong_with_it() -> None:
    with pytest.raises(UsageError, match="either `model` or `predictions`"):
        SuiteRun("a", "d")
    with pytest.raises(UsageError, match="at least one run"):
        Suite("t", ())
    twice = SuiteRun("a", "d", model="x")
    with pytest.raises(UsageError, match="two runs are called 'a'"):
        Suite("t", (twice, twice))
