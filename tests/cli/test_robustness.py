"""bench run --corrupt and bench suite with corruptions, as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fakes import image_file
from PIL import Image
from place import Call, Place

from bench.analysis.ranking import leaderboard
from bench.datasets.corruptions import Corruption
from bench.results.run import read_run, read_runs
from bench.types import Image as Picture


@pytest.fixture(autouse=True)
def sturdy(place: Place) -> None:
    """Let the model take each red value: corrupted ones are of no class."""
    code = place.folder / "mine.py"
    code.write_text(code.read_text().replace("image.rgb[..., 0] // 12", "np.minimum(image.rgb[..., 0] // 12, 18)"))


def test_a_corrupted_run_is_another_run_on_a_board_of_its_own(place: Place, call: Call) -> None:
    assert call(*place.arguments()).code == 0
    for corrupt in ("fog:2", "fog:3", "jpeg:3"):
        assert call(*place.arguments("--corrupt", corrupt)).code == 0
    runs = {run.dataset: run for run in read_runs(place.out)}
    assert sorted(runs) == ["cityscapes:val", *(f"cityscapes:val {name}" for name in ("fog:2", "fog:3", "jpeg:3"))]
    assert runs["cityscapes:val"].score.PQ.all.PQ > runs["cityscapes:val fog:3"].score.PQ.all.PQ
    assert [len(board.rows) for board in leaderboard(list(runs.values()))] == [1, 1, 1, 1]
    foggy = json.loads((runs["cityscapes:val fog:3"].folder / "run.json").read_text())
    assert foggy["dataset"]["corruption"] == foggy["rules"]["corruption"]
    assert foggy["dataset"]["corruption"] == {"name": "fog", "strength": 3, "version": 1}
    jpeg = json.loads((runs["cityscapes:val jpeg:3"].folder / "run.json").read_text())
    assert jpeg["rules"]["corruption"]["library"].startswith("libjpeg")
    refused = call("compare", runs["cityscapes:val"].folder, runs["cityscapes:val fog:3"].folder)
    assert refused.code == 6 and "differ in the corruption of the pictures" in refused.err
    assert "finished" in call(*place.arguments("--corrupt", "fog:3")).err
    assert call("verify", runs["cityscapes:val fog:3"].folder).code == 0


def test_a_wrong_corruption_ends_before_anything_is_run(place: Place, call: Call) -> None:
    said = call(*place.arguments("--corrupt", "fgo:3"))
    assert said.code == 2 and "did you mean 'fog'" in said.err and not place.out.exists()


def test_a_report_and_predict_show_the_corrupted_picture(place: Place, call: Call) -> None:
    assert call(*place.arguments("--corrupt", "brightness:5")).code == 0
    run = read_run(place.out / "cityscapes-val-brightness-5")
    assert call("report", run.folder, "--data-root", place.data, "--out", place.folder / "report").code == 0
    pages = sorted((place.folder / "report" / "overlays").glob("0001-*.png"))
    first = image_file(place.data, place.images[0])
    bright = _changed(first)
    assert _holds(np.asarray(Image.open(pages[0]).convert("RGB")), bright)
    out = place.folder / "out"
    options = ["--model", place.model, "--checkpoint", "plain", "--out", out, "--corrupt", "brightness:5", "--json"]
    said = call("predict", first, *options)
    assert said.code == 0, said.err
    assert _holds(np.asarray(Image.open(json.loads(said.out)[0]["picture"]).convert("RGB")), bright)


def _changed(file: Path) -> np.ndarray:
    rgb = np.asarray(Image.open(file).convert("RGB"))
    return Corruption("brightness", 5).apply(Picture("", rgb)).rgb


def _holds(page: np.ndarray, rgb: np.ndarray) -> bool:
    """Return whether the page has many pixels of the picture's commonest colour, which its clean form lacks."""
    colors, counts = np.unique(rgb.reshape(-1, 3), axis=0, return_counts=True)
    return int((page == colors[counts.argmax()]).all(axis=2).sum()) >= int(counts.max())
