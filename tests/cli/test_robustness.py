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


SUITE = """\
title: two corruptions
corruptions: [brightness, noise]
strengths: [1, 5]
runs:
  - {name: bands, model: ./mine.yaml, dataset: cityscapes, limit: 3}
"""


@pytest.fixture
def suite(place: Place, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CITYSCAPES_DATASET", str(place.data))
    (place.folder / "suite.yaml").write_text(SUITE)
    return place.folder / "suite.yaml"


def test_a_suite_of_corruptions_gives_mpc_rpc_classes_and_a_page(suite: Path, place: Place, call: Call) -> None:
    again = place.folder / "again.yaml"
    again.write_text(place.model.read_text())
    options = ("suite", suite, "--out", place.out, "--model", place.model, "--model", again)
    said = call(*options, "--json")
    assert said.code == 0, said.err
    found = json.loads(said.out)
    first, second = found["models"]
    assert [first["name"], second["name"], found["images"]] == ["mine", "again", 3]
    runs = {run.dataset: run.score.PQ.all.PQ for run in read_runs(place.out) if run.name == "mine"}
    cells = {name: cell["value"] for name, cell in first["cells"].items()}
    assert cells == pytest.approx({n: runs[f"cityscapes:val {n}"] for n in cells}) and len(cells) == 4
    assert first["clean"]["value"] == pytest.approx(runs["cityscapes:val"])
    assert first["mPC"]["value"] == pytest.approx(sum(cells.values()) / 4)
    assert first["rPC"]["value"] == pytest.approx(first["mPC"]["value"] / first["clean"]["value"])
    assert first["rPC"]["low"] <= first["rPC"]["value"] <= first["rPC"]["high"]
    # The same model twice: paired draws leave nothing of the difference.
    assert second["rPC"] == first["rPC"]
    assert all(set(one.values()) == {0.0} for one in found["differences"][0]["values"].values())
    assert any("not settled by 3 images" in sentence for sentence in found["sentences"])
    assert {row["worst"] for row in first["classes"]} <= {"brightness", "noise"}
    page = (place.out / "suite" / "index.html").read_text()
    assert page.count("data:image/jpeg") == 3 and "mPC" in page and "libjpeg" not in page
    assert "mPC" in (place.out / "suite" / "suite.md").read_text()
    table = call(*options)
    assert table.code == 0 and "keeps" in table.out and "rPC" in table.out


def test_a_failed_run_leaves_no_mean(suite: Path, place: Place, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAULT", f"{place.images[1]}=size")
    assert call("suite", suite, "--out", place.out).code == 4
    assert not (place.out / "suite").exists()
    monkeypatch.delenv("FAKE_FAULT")
    assert call("suite", suite, "--out", place.out, "--plan").code == 0
    code = place.folder / "mine.py"
    # 128 grey levels are added at strength 5: the model fails there alone.
    code.write_text(code.read_text().replace("    def infer(self, batch):", "    def infer(self, batch):\n        "
                    "if min(int(i.rgb.min()) for i in batch) >= 128: raise RuntimeError('too bright')", 1))  # fmt: skip
    said = call("suite", suite, "--out", place.out)
    assert said.code == 4 and "too bright" in said.err
    found = json.loads((place.out / "suite" / "suite.json").read_text())["models"][0]
    assert found["clean"]["value"] is not None and found["mPC"]["value"] is None and found["classes"] == []
    assert "failed" in (place.out / "suite" / "index.html").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("corruptions: [brightness, nose]", "did you mean 'noise'"),
        ("strengths: [1, 6]", "1 to 5, not 6"),
        ("strengths: [1, 1]", "strengths: 1 occurs twice"),
        ("strengths: []", "strengths: has no value"),
        ("sweep: {input.longer: [32]}", "either `corruptions` or `sweep`"),
        ("corruption: [fog]", "did you mean 'corruptions'"),
    ],
)
def test_a_wrong_suite_is_refused(suite: Path, call: Call, change: str, message: str) -> None:
    key = change.partition(":")[0]
    kept = [line for line in SUITE.splitlines() if not line.startswith(f"{key}:")]
    suite.write_text("\n".join([change, *kept]))
    said = call("suite", suite)
    assert said.code == 2 and message in said.err


def test_options_are_refused_where_they_mean_nothing(suite: Path, call: Call) -> None:
    assert "from 1 to 5" in call("suite", suite, "--strengths", "1,7").err
    suite.write_text("\n".join(line for line in SUITE.splitlines() if not line.startswith(("corr", "stre"))))
    assert "has no `corruptions`" in call("suite", suite, "--strengths", "1").err
    assert "suites without trainings" in call("suite", "study", "--model", "detr").err
