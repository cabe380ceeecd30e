"""stdout holds the result alone; colours and bars are for terminals."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import bench
from place import Call, Place

ESCAPE = "\x1b"


def on_a_terminal(*arguments: object, **environment: str) -> str:
    """stdout and stderr of a command that believes it talks to a terminal."""
    ours, theirs = pty.openpty()
    clean = {k: v for k, v in os.environ.items() if k not in ("NO_COLOR", "FORCE_COLOR")}
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", *(str(a) for a in arguments)],
        stdin=theirs, stdout=theirs, stderr=theirs, env={**clean, "TERM": "xterm-256color", **environment},
    )  # fmt: skip
    os.close(theirs)
    said = b""
    try:
        while piece := os.read(ours, 65536):
            said += piece
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)
    assert process.wait(timeout=120) == 0, said
    return said.decode()


def test_a_piped_run_is_plain(place: Place) -> None:
    with bench(*place.arguments()) as process:
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0
    assert "mine on cityscapes:val, 6 images" in out
    assert err == f"run: {place.run}\n"
    assert ESCAPE not in out + err
    assert "\r" not in out + err


def test_a_terminal_sees_a_bar_and_colours(place: Place) -> None:
    said = on_a_terminal(*place.arguments(), FAKE_SLEEP="0.1")
    assert "mine on cityscapes:val" in said
    assert "6/6" in said
    assert "images/s" in said
    assert re.search(r"mem [\d.]+ of [\d.]+ GB, this process [\d.]+", said)
    assert f"{ESCAPE}[1m" in said


def test_no_color_is_respected(scored: Path) -> None:
    assert f"{ESCAPE}[1m" in on_a_terminal("show", scored)
    plain = on_a_terminal("show", scored, NO_COLOR="1")
    assert f"{ESCAPE}[3" not in plain.replace(f"{ESCAPE}[3m", "")  # no colour; italics and bold are none


def test_json_is_json_alone(place: Place, scored: Path, call: Call) -> None:
    given = ["--dataset", "cityscapes", "--data-root", place.data, "--predictions", scored / "predictions"]
    for command in (
        place.arguments(), ["score", *given], ["show", scored], ["models"], ["datasets"], ["doctor"],
        ["leaderboard", "--results", scored.parents[2]],
    ):  # fmt: skip
        answer = call(*command, "--json")
        assert answer.code == 0, answer.err
        assert json.loads(answer.out)
        assert ESCAPE not in answer.out


def test_run_score_and_show_say_the_same(place: Place, scored: Path, call: Call) -> None:
    """One model, run again, scored from its files, and shown from its results."""
    given = ["--dataset", "cityscapes", "--data-root", place.data, "--predictions", scored / "predictions"]
    ran, made, shown = (
        json.loads(call(*command, "--json").out) for command in (place.arguments(), ["score", *given], ["show", scored])
    )
    assert ran == made == shown
    assert set(ran) >= {"PQ", "mIoU", "per_class", "images", "protocol", "reference_deviations"}
    assert set(ran["PQ"]) == {"all", "things", "stuff"}
    assert set(ran["mIoU"]) == {"semantic", "panoptic"}
    assert set(ran["per_class"][0]) >= {"category_id", "name", "isthing", "PQ", "SQ", "RQ", "TP", "FP", "FN", "IoU"}
    assert ran["images"] == 6
    assert 0 < ran["PQ"]["all"]["PQ"] < 1


def test_batches_limits_and_image_lists(place: Place, call: Call) -> None:
    wanted = place.folder / "wanted.txt"
    wanted.write_text(f"{place.images[4]}\n{place.images[1]}\n", encoding="utf-8")
    counts = [
        json.loads(call(*place.arguments(*more, "--json")).out)["images"]
        for more in (["--limit", 2], ["--images", wanted], ["--images", wanted, "--limit", 1], ["--batch-size", 4])
    ]
    assert counts == [2, 2, 1, 6]
    assert len(list(place.out.glob("cityscapes-val/mine/*/done.json"))) == 4  # each another run


def test_a_finished_run_is_shown_and_not_repeated(place: Place, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    first = call(*place.arguments("--json"))
    monkeypatch.setenv("FAKE_FAULT", "load")  # a model that were loaded would fail
    second = call(*place.arguments("--json"))
    assert (second.code, json.loads(second.out)) == (0, {**json.loads(first.out), "reused": True})
    assert call(*place.arguments("--overwrite")).code == 4


def test_predictions_can_be_left_out(place: Place, call: Call) -> None:
    assert call(*place.arguments("--no-save-predictions")).code == 0
    assert not (place.run / "predictions").exists()
    told = "not all predictions were kept; --overwrite"
    assert told in call(*place.arguments()).err
    assert told not in call(*place.arguments("--no-save-predictions")).err
    assert told not in call(*place.arguments("--overwrite")).err


def test_show_per_class(scored: Path, call: Call) -> None:
    out = call("show", scored, "--per-class").out
    assert all(name in out for name in ("road", "traffic light", "bicycle"))


def test_leaderboard_formats(scored: Path, place: Place, call: Call) -> None:
    root = scored.parents[2]
    assert "mine" in call("leaderboard", "--results", root).out
    assert "| mine" in call("leaderboard", "--results", root, "--format", "md").out
    rows = list(csv.DictReader(io.StringIO(call("leaderboard", "--results", root, "--format", "csv").out)))
    assert "mine" in rows[0].values()
    assert json.loads(call("leaderboard", "--results", root, "--format", "json").out)
    unknown = call("leaderboard", "--results", root, "--dataset", "minicity:val")
    assert (unknown.code, unknown.out) == (2, "")
    board = place.folder / "board.md"
    assert call("leaderboard", "--results", root, "--write", board).code == 0
    assert "| mine" in board.read_text(encoding="utf-8")


def test_damaged_truth_is_scored(place: Place, call: Call) -> None:
    made = place.folder / "damaged"
    data = ["--data-root", place.data]
    assert call("data", "damage", "cityscapes:val", "--out", made, *data).out == f"{made}\n"
    score = json.loads(call("score", "--dataset", "cityscapes", *data, "--predictions", made, "--json").out)
    assert 0.2 < score["PQ"]["all"]["PQ"] < 1
    none = [x for fault in ("drop", "split", "merge", "relabel", "void", "jitter") for x in (f"--{fault}", 0)]
    assert call("data", "damage", "cityscapes:val", "--out", made, *data, *none).code == 0
    ceiling = json.loads(call("score", "--dataset", "cityscapes", *data, "--predictions", made, "--json").out)
    assert ceiling["PQ"]["all"]["PQ"] == 1


def test_the_root_by_environment(place: Place, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = ["run", "--model", place.model, "--dataset", "cityscapes", "--out", place.out, "--json"]
    monkeypatch.setenv("CITYSCAPES_DATASET", str(place.data))
    assert call(*arguments).code == 0
    monkeypatch.delenv("CITYSCAPES_DATASET")
    (place.folder / "all").mkdir()
    (place.folder / "all" / "cityscapes").symlink_to(place.data)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(place.folder / "all"))
    assert call(*arguments).code == 0


def test_a_reader_that_leaves_early_is_no_error_message() -> None:
    with bench("models", "--json") as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        err = process.stderr.read()
        process.wait(timeout=120)
    assert "Traceback" not in err
    assert "unexpected" not in err
