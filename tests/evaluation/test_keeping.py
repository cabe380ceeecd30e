"""Predictions of `bench score` kept as copies, hard links, by reference or not at all: the same lines, sound files."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from bench.analysis.reference import verify_reference
from bench.analysis.verify import verify
from bench.datasets.registry import load_coco_files
from bench.errors import DataError, PartialRun
from bench.evaluation import evaluator
from bench.evaluation.score import score
from bench.forms.classes import Options
from bench.io.coco_writer import write_panoptic
from bench.io.images import write_png
from bench.reports.page.gallery import missing
from bench.reports.views.runs import run_views
from bench.results.merge import merge
from bench.results.predictions import Keep, open_coco_predictions, safe_file_stem, saved_predictions
from bench.results.run import Run, read_run
from bench.results.shards import Shard
from bench.types import Panoptic, SegmentInfo

CATEGORIES = [{"id": 1, "name": "thing", "isthing": 1}, {"id": 2, "name": "stuff", "isthing": 0}]
IMAGES = ("0", "1", "Upper/Case", "3", "4")
KEPT: tuple[Keep, ...] = ("copy", "link", "reference")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Random maps of two segments. The predictions have names of their own, and a key that is none of COCO's."""
    for seed, side in enumerate(("gt", "pred")):
        (tmp_path / side / "semantic").mkdir(parents=True)
        annotations = []
        for number, image_id in enumerate(IMAGES):
            ids = np.random.default_rng([seed, number]).integers(1, 3, (6, 8)).astype(np.int32)
            name = tmp_path / side / f"{side}-{number}.png"
            written = write_panoptic(name, Panoptic(ids, (SegmentInfo(1), SegmentInfo(2))))
            annotations.append({**written, "image_id": image_id, "made_by": side})
        text = json.dumps({"annotations": annotations, "categories": CATEGORIES})
        (tmp_path / f"{side}.json").write_text(text)
    return tmp_path


def scored(root: Path, keep: Keep, out: str = "", **more: object) -> Run:
    made = open_coco_predictions(root / "pred.json", root / "pred", "pred")
    truth = load_coco_files(root / "gt.json", root / "gt")
    return score(made, truth, root / (out or keep), keep_predictions=keep, **more)  # type: ignore[arg-type]


def stored(run: Run) -> tuple[str, bytes, str, object]:
    lines = (run.folder / "images-0-of-1.jsonl").read_bytes()
    return run.folder.name, lines, run.complete.images_sha256, run.score


def results(run: Run) -> list[str]:
    return [check.result for check in verify(run)]


@pytest.mark.parametrize("metrics", [(), ("boundary",)])
def test_lines_and_score_do_not_depend_on_what_is_kept(root: Path, metrics: tuple[str, ...]) -> None:
    nothing = stored(scored(root, "none", metrics=metrics))
    assert all(stored(scored(root, keep, metrics=metrics)) == nothing for keep in KEPT)


@pytest.mark.parametrize("keep", KEPT)
@pytest.mark.parametrize("semantic", [False, True])
def test_kept_predictions_are_those_that_were_scored(root: Path, keep: Keep, semantic: bool) -> None:
    if semantic:
        for number, image_id in enumerate(IMAGES):
            target = root / "pred" / "semantic" / f"{safe_file_stem(image_id)}.png"
            write_png(target, np.full((6, 8), 1 + number % 2, np.uint8))
    run = scored(root, keep)
    assert results(run) == ["ok"] * 6
    made = saved_predictions(run)
    assert made is not None and list(made.annotations) == list(IMAGES)
    assert all(one["made_by"] == "pred" for one in made.annotations.values())
    for number, image_id in enumerate(IMAGES):
        files = made.coco_files(image_id, run.categories)
        assert files is not None and (files.semantic is not None) == semantic
        source = root / "pred" / f"pred-{number}.png"
        assert files.png.read_bytes() == source.read_bytes()
        assert files.png.samefile(source) == (keep != "copy")


@pytest.mark.parametrize("keep", KEPT)
def test_the_reference_scores_what_is_kept(root: Path, keep: Keep) -> None:
    pytest.importorskip("panopticapi.evaluation")
    run = scored(root, keep)
    made = saved_predictions(run)
    assert made is not None and missing(run_views([run])[0]) == ""
    found = verify_reference(run, load_coco_files(root / "gt.json", root / "gt"), made)
    assert [check.result for check in found.checks if check.result == "failed"] == []


def test_nothing_is_kept_if_so_asked(root: Path) -> None:
    run = scored(root, "none")
    assert not (run.folder / "predictions").exists() and results(run) == ["ok"] * 5 + ["skipped"]


def test_copies_keep_the_runs_of_pngs_undecoded(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded: list[str] = []
    monkeypatch.setattr(evaluator, "image_line", lambda sample, *more: decoded.append(sample.image_id))
    joined = evaluator.image_line_from_files
    if joined.__globals__["join"].__globals__["_join"] is None:
        pytest.skip("the compiled kernel is not here")
    scored(root, "copy")
    assert decoded == []


def test_links_across_devices_become_copies_with_a_notice(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    notices: list[str] = []
    run = scored(root, "link", on_notice=notices.append)
    assert len(notices) == 1 and "cross-device link" in notices[0] and "copies" in notices[0]
    assert results(run) == ["ok"] * 6
    assert not any(path.samefile(root / "pred" / "pred-0.png") for path in (run.folder / "predictions").glob("*.png"))


def test_a_symbolic_link_is_kept_as_its_file(root: Path) -> None:
    (root / "pred" / "pred-0.png").rename(root / "elsewhere.png")
    (root / "pred" / "pred-0.png").symlink_to(root / "elsewhere.png")
    run = scored(root, "link")
    kept = run.folder / "predictions" / "0.png"
    assert not kept.is_symlink() and kept.samefile(root / "elsewhere.png")


@pytest.mark.parametrize("before", KEPT)
@pytest.mark.parametrize("after", KEPT)
def test_an_interrupted_run_ends_with_all_predictions(root: Path, before: Keep, after: Keep) -> None:
    def stop(done: int, total: int) -> None:
        if done == 3:
            raise KeyboardInterrupt

    sources = [path.read_bytes() for path in sorted((root / "pred").glob("*.png"))]
    whole = stored(scored(root, before, "whole"))
    with pytest.raises(KeyboardInterrupt):
        scored(root, before, "out", on_image=stop)
    run = scored(root, after, "out")
    assert not run.reused and stored(run) == whole and results(run) == ["ok"] * 6
    again = scored(root, before, "out", overwrite=True)  # over links, too, no file of the user is written to
    assert stored(again) == whole and results(again) == ["ok"] * 6
    assert [path.read_bytes() for path in sorted((root / "pred").glob("*.png"))] == sources


def test_a_run_stopped_while_it_keeps_is_completed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy, copied = shutil.copyfile, []

    def full(source: Path, target: Path) -> None:
        if len(copied) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        copied.append(copy(source, target))

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(PartialRun, match="No space left"):
        scored(root, "copy")
    monkeypatch.undo()
    run = scored(root, "copy")
    assert results(run) == ["ok"] * 6 and saved_predictions(run) is not None


@pytest.mark.parametrize("keep", KEPT)
def test_shards_are_merged_with_their_predictions(root: Path, keep: Keep) -> None:
    parts = [scored(root, keep, f"part{number}", shard=Shard(number, 2)) for number in range(2)]
    run = merge([part.folder for part in parts])
    assert results(run) == ["ok"] * 6 and stored(run) == stored(scored(root, "none"))


def test_a_folder_kept_by_reference_is_named_when_it_changed_or_is_gone(root: Path) -> None:
    run = scored(root, "reference")
    (root / "pred" / "other.txt").touch()  # no file of the run
    assert results(run)[-1] == "ok"
    shutil.copyfile(root / "pred" / "pred-1.png", root / "pred" / "pred-3.png")
    with pytest.raises(DataError, match=r"pred: .*kept by reference, and .* have changed"):
        saved_predictions(run)
    (root / "pred").rename(root / "moved")
    with pytest.raises(DataError, match=r"pred: .*kept by reference, and this folder is gone"):
        saved_predictions(run)
    assert "this folder is gone" in missing(run_views([run])[0])
    failed = verify(read_run(run.folder))[-1]
    assert failed.result == "failed" and "this folder is gone" in failed.findings[0]


def test_predictions_that_change_while_they_are_scored_are_not_kept(root: Path) -> None:
    def touch(done: int, total: int) -> None:
        if done == total:
            shutil.copyfile(root / "pred" / "pred-1.png", root / "pred" / "pred-3.png")

    with pytest.raises(PartialRun, match=r"changed while they were scored.*\n0 of 5 images"):
        scored(root, "copy", on_image=touch)


@pytest.mark.parametrize("keep", ["link", "reference"])
def test_other_forms_are_written_with_a_notice(root: Path, keep: Keep) -> None:
    content = json.loads((root / "pred.json").read_text())
    for annotation in content["annotations"]:
        for entry in annotation["segments_info"]:
            entry["category_id"] -= 1
    (root / "pred.json").write_text(json.dumps({"annotations": content["annotations"]}))
    notices: list[str] = []
    run = scored(root, keep, form=Options(ids="contiguous"), on_notice=notices.append)
    assert len(notices) == 1 and "written" in notices[0]
    made = saved_predictions(run)
    assert made is not None and made.folder == run.folder / "predictions" and results(run) == ["ok"] * 6


def test_a_reference_by_file_names_becomes_copies_with_a_notice(root: Path) -> None:
    text = (root / "pred.json").read_text()
    for number, image_id in enumerate(IMAGES):
        text = text.replace(f'"image_id": "{image_id}"', f'"image_id": "{number}_pred"')
        text = text.replace(f'"image_id": {number},', f'"image_id": "{number}_pred",')
    (root / "pred.json").write_text(text)
    truth = (root / "gt.json").read_text()
    (root / "gt.json").write_text(truth.replace("Upper/Case", "2"))
    notices: list[str] = []
    run = scored(root, "reference", form=Options(match="stem"), on_notice=notices.append)
    assert len(notices) == 1 and "matched by file name" in notices[0]
    assert results(run) == ["ok"] * 6
