"""bench predict, bench run --timing and bench leaderboard --check, as they are typed."""

from __future__ import annotations

import json
import resource
import sys

import pytest
from fakes import SIZE, image_file
from PIL import Image
from place import Call, Place

from bench.io.coco import load_json
from bench.results.run import read_run


def test_images_without_labels_become_pictures_and_coco_files(place: Place, call: Call) -> None:
    files = [image_file(place.data, name) for name in place.images[:2]]
    out = place.folder / "out"
    said = call("predict", *files, "--model", place.model, "--checkpoint", "plain", "--out", out, "--json")
    assert said.code == 0, said.err
    made = json.loads(said.out)
    assert [one["image"] for one in made] == [str(file) for file in files]
    assert {segment["category"] for segment in made[0]["segments"]} >= {"road"}
    assert sum(segment["area"] for segment in made[0]["segments"]) == SIZE[0] * SIZE[1]
    with Image.open(made[0]["picture"]) as picture:
        assert picture.width > 2 * SIZE[1]
    annotations = load_json(out / "predictions" / "predictions.json").annotations
    assert list(annotations) == [file.stem for file in files]


def test_a_folder_of_images_is_taken_whole(place: Place, call: Call) -> None:
    folder = image_file(place.data, place.images[0]).parent
    said = call("predict", folder, "--model", place.model, "--checkpoint", "plain", "--out", place.folder / "out")
    assert said.code == 0
    assert len(list((place.folder / "out").glob("*.png"))) == len(list(folder.glob("*.png")))


def test_names_of_all_scripts_and_one_broken_picture(place: Place, call: Call) -> None:
    """Each picture has files of its own; what cannot be read is named, and the others are predicted."""
    folder = place.folder / "pictures"
    folder.mkdir()
    content = image_file(place.data, place.images[0]).read_bytes()
    for name in ("街道", "城市", "a b", "a_b", "é"):
        (folder / f"{name}.png").write_bytes(content)
    (folder / "broken.tif").write_bytes(b"II*")
    for name in ("notes.txt", "more.txt", "z.gif"):
        (folder / name).write_text("")
    (folder / "below.png").mkdir()
    out = place.folder / "out"
    said = call("predict", folder, "--model", place.model, "--checkpoint", "plain", "--out", out)
    assert said.code == 3
    assert "image 'broken'" in said.err and "broken.tif" in said.err and "5 of 6 images were predicted" in said.err
    assert "2 .txt, 1 folder, 1 .gif (below.png, more.txt, notes.txt, …)" in said.err
    assert len(list(out.glob("*.png"))) == len(list((out / "predictions").glob("*.png"))) == 5
    assert set(load_json(out / "predictions" / "predictions.json").annotations) == {"街道", "城市", "a b", "a_b", "é"}


def test_what_cannot_be_predicted_is_told_in_a_sentence(
    place: Place, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = image_file(place.data, place.images[0])
    arguments = ("--model", place.model, "--checkpoint", "plain", "--out", place.folder / "out")
    assert call("predict", place.folder / "none.png", *arguments).code == 2
    (place.folder / "empty").mkdir()
    assert "no image here" in call("predict", place.folder / "empty", *arguments).err
    monkeypatch.setenv("FAKE_FAULT", f"{image.stem}=preprocess")
    said = call("predict", image, *arguments)
    assert (said.code, "Traceback" in said.err) == (4, False)
    assert image.name in said.err and "ZeroDivisionError" in said.err


def test_timing_adds_a_file_and_moves_nothing_that_is_hashed(place: Place, call: Call) -> None:
    assert call(*place.arguments("--no-save-predictions")).code == 0
    lines = (place.run / "images-0-of-1.jsonl").read_bytes()
    said = call(*place.arguments("--no-save-predictions", "--timing"))
    assert said.code == 0 and "timing.json" in said.err
    timing = json.loads((place.run / "timing.json").read_text())
    assert (timing["n"], timing["batch_size"], timing["warm_up"]) == (len(place.images), 1, 10)
    assert (
        timing["summary"]["whole"]["p50"] >= timing["summary"]["total"]["p50"] >= timing["summary"]["infer"]["p50"] > 0
    )
    assert timing["summary"]["read"]["p50"] > 0 and timing["summary"]["total"]["p99"] is None
    assert timing["process_peak_bytes"] > 1e6 and timing["throughput"]["batch_size"] == 1
    for text in ("whole, from the file", "images/s at batch size 1", "GB of the process", "p99 needs 100 images"):
        assert text in said.out
    shown = call("show", place.run)
    assert said.out == shown.out
    found = json.loads(call("show", place.run, "--json").out)["timing"]
    assert found == {name: value for name, value in timing.items() if name != "seconds"}
    assert (place.run / "images-0-of-1.jsonl").read_bytes() == lines
    assert read_run(place.run).done is not None


def test_a_model_with_an_environment_of_its_own_is_timed_in_its_worker(place: Place, call: Call) -> None:
    with place.model.open("a") as file:
        file.write(f"env: {sys.executable}\n")
    assert call(*place.arguments("--no-save-predictions", "--timing", "--batch-size", 2)).code == 0
    timing = json.loads((place.run / "timing.json").read_text())
    assert set(timing["summary"]) == {"read", "preprocess", "infer", "postprocess", "total", "whole"}
    assert timing["throughput"]["batch_size"] == 2
    # Of the worker: this process holds pytest and torch or pandas besides.
    assert 1e6 < timing["process_peak_bytes"] < 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def test_a_stale_leaderboard_leaves_with_one(place: Place, call: Call) -> None:
    assert call(*place.arguments("--no-save-predictions")).code == 0
    board = place.folder / "LEADERBOARD.md"
    arguments = ("leaderboard", "--results", place.out, "--write", board)
    assert call(*arguments, "--check").code == 1 and not board.exists()
    assert call(*arguments).code == 0 and call(*arguments, "--check").code == 0
    before = board.read_bytes()
    board.write_bytes(before.replace(b"mine", b"ours"))
    said = call(*arguments, "--check")
    assert (said.code, "stale" in said.err, board.read_bytes() == before) == (1, True, False)
    assert call("leaderboard", "--results", place.out, "--check").code == 2
