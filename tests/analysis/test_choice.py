"""The choice among stored runs: front, limits, licences, hardware, and its sentences."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from bench.analysis.choice import Candidate, Choice, choose
from bench.analysis.rules import rule_boards
from bench.errors import NotComparable, UsageError
from bench.io.config import load_yaml, shipped_configs
from bench.models.catalog import commercial_refusal
from bench.models.model_file import ModelFile
from bench.results.run import Run, read_runs
from bench.results.timing import Timing, write_timing

RUNS = Path(__file__).parents[2] / "results" / "minicity-val"
NAMES = ("maskformer", "mask2former", "detr")  # PQ 58.1, 56.9 (no difference shown), 28.4


def timed(folder: Path, hardware: str = "one machine", **milliseconds: float) -> list[Run]:
    for name in NAMES:
        shutil.copytree(RUNS / name, folder / "minicity-val" / name)
    for run in read_runs(folder):
        if run.name in milliseconds:
            seconds = milliseconds[run.name] / 1000
            where = f"{hardware} of {run.name}" if hardware == "each its own" else hardware
            timing = Timing(
                {"total": (seconds,) * 3}, 0, "cpu", "fp32", where, "2026-12-01",
                process_peak_bytes=int(1e9 * (2 if run.name == "maskformer" else 1)),
            )  # fmt: skip
            write_timing(run.folder, timing)
    return read_runs(folder)


def by_name(found: Choice) -> dict[str, Candidate]:
    return {one.name: one for one in found.candidates}


def test_the_highest_pq_and_what_is_not_shown_to_be_worse(tmp_path: Path) -> None:
    found = choose(timed(tmp_path, maskformer=40, mask2former=20, detr=30), "minicity:val")
    assert found.choice == "maskformer" and found.hardware == "one machine (cpu)"
    first, second, third = found.sentences
    assert first == "Take maskformer: the highest PQ (58.1) of 3 runs, at 40 ms an image and 2 GB."
    assert second.startswith("mask2former is not shown to be worse (difference -0.1 to +2.5 points)")
    assert second.endswith("needs 20 ms in place of 40 and 1 GB in place of 2.")
    assert third == "Worse in PQ and no cheaper than another run: detr."
    rows = by_name(found)
    assert rows["maskformer"].front and rows["mask2former"].front and not rows["detr"].front
    assert (rows["detr"].dominated_by, rows["detr"].surely) == ("mask2former", True)


def test_a_run_that_is_dominated_without_a_shown_difference(tmp_path: Path) -> None:
    rows = by_name(choose(timed(tmp_path, maskformer=10, mask2former=20), "minicity:val"))
    # mask2former needs less memory, so that it is on the front although it is slower.
    assert rows["mask2former"].front and not rows["detr"].front and rows["detr"].ms is None


@pytest.mark.parametrize(
    ("limits", "choice", "reason"),
    [
        ({"max_ms": 25}, "mask2former", "40 ms are more than 25"),
        ({"max_gb": 1.5}, "mask2former", "2 GB are more than 1.5"),
    ],
)
def test_limits(tmp_path: Path, limits: dict[str, float], choice: str, reason: str) -> None:
    found = choose(timed(tmp_path, maskformer=40, mask2former=20), "minicity:val", **limits)
    rows = by_name(found)
    assert found.choice == choice and rows["maskformer"].excluded == reason
    assert "was not measured" in rows["detr"].excluded
    none = choose(read_runs(tmp_path), "minicity:val", max_ms=1)
    assert none.choice is None and none.sentences[0].startswith("No run can be taken within 1 ms: ")


def test_latencies_of_different_hardware_do_not_compare(tmp_path: Path) -> None:
    runs = timed(tmp_path, "each its own", maskformer=40, mask2former=20)
    with pytest.raises(NotComparable, match="different hardware"):
        choose(runs, "minicity:val")


def test_a_run_that_may_not_be_taken_beats_none_and_its_hardware_does_not_count(tmp_path: Path) -> None:
    runs = timed(tmp_path, maskformer=10, mask2former=20, detr=30)
    found = choose(runs, "minicity:val", refused=lambda run: "refused" if run.name == "mask2former" else "")
    rows = by_name(found)
    assert rows["maskformer"].front and rows["detr"].front and not rows["mask2former"].front
    assert not rows["detr"].dominated_by and not any("no cheaper" in sentence for sentence in found.sentences)
    each = timed(tmp_path / "each", "each its own", maskformer=40, mask2former=20)
    found = choose(each, "minicity:val", refused=lambda run: "refused" if run.name == "maskformer" else "")
    assert found.choice == "mask2former" and found.hardware == "one machine of mask2former (cpu)".replace(
        "one machine", "each its own"
    )


def test_without_timings_and_with_one_run(tmp_path: Path) -> None:
    runs = timed(tmp_path)
    found = choose(runs, "minicity")
    assert found.choice == "maskformer" and found.hardware is None
    assert found.sentences[-1].startswith("Without latency and memory")
    (alone,) = [run for run in runs if run.name == "detr"]
    assert choose([alone], "minicity:val").choice == "detr"
    with pytest.raises(UsageError, match="did you mean"):
        choose(runs, "minicty")


def test_licences_by_the_yaml() -> None:
    files = {name: load_yaml(path, ModelFile) for name, path in shipped_configs("models").items()}
    assert commercial_refusal(files, "mask2former", "minicity/tiny") == ""
    assert commercial_refusal(files, "compose", "minicity/tiny") == ""
    assert "not known" in commercial_refusal(files, "mine", "first")
    refusals = {
        f"{name}/{label}": commercial_refusal(files, name, label)
        for name, file in files.items() for label, one in file.checkpoints.items() if not one.path
    }  # fmt: skip
    assert "CC BY-NC 4.0" in refusals["maskformer/coco/swin-tiny"] and refusals["detr/coco/resnet-50"] == ""


def test_runs_with_settings_changed_stand_apart(tmp_path: Path) -> None:
    timed(tmp_path)
    (run,) = [run for run in read_runs(tmp_path) if run.name == "maskformer"]
    meta = json.loads((run.folder / "run.json").read_text())
    meta["model"]["changed"] = {"input.longer": 512}
    (run.folder / "run.json").write_text(json.dumps(meta))
    runs = read_runs(tmp_path)
    found = choose(runs, "minicity:val")
    assert found.choice == "mask2former" and found.sentences[-1].startswith("1 runs on other images")
    assert sorted(len(board.rows) for board in rule_boards(runs, "torchmetrics")) == [1, 2]
