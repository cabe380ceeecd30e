"""A user's own data from run to report, and runs by name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from own_data import write_own
from place import Call

MODEL = """\
adapter: ./mine.py:Mine
checkpoints:
  first: {categories: classes.yaml, weights: none}
"""
CLASSES = """\
categories:
  - {id: 0, name: wall, isthing: false}
  - {id: 7, name: crack, isthing: true}
"""
ADAPTER = """\
import numpy as np
from bench.types import Panoptic, Prediction, SegmentInfo

class Mine:
    def __init__(self, spec, device):
        assert device in ("cpu", "cuda"), device
        self.categories = spec.space

    def predict(self, images):
        return [Prediction(Panoptic(np.ones(image.size, np.int32), (SegmentInfo(0),))) for image in images]
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with data/mine.yaml and model/mine.yaml; the working directory is another one."""
    for variable in ("BENCH_DATA_ROOT", "BENCH_OUT"):
        monkeypatch.delenv(variable, raising=False)
    write_own(tmp_path / "data")
    (tmp_path / "model").mkdir()
    for name, text in (("mine.yaml", MODEL), ("classes.yaml", CLASSES), ("mine.py", ADAPTER)):
        (tmp_path / "model" / name).write_text(text, encoding="utf-8")
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def test_own_model_and_data_reach_the_gallery(own: Path, call: Call) -> None:
    ran = call("run", "--model", "../model/mine.yaml", "--dataset", "../data/mine.yaml", "--name", "first", "--json")
    assert ran.code == 0, ran.err
    (folder,) = Path("results/mine-val/first").iterdir()
    meta = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    data = own / "data"
    assert meta["origin"] == {"dataset": f"{data / 'mine.yaml'}:val", "data_root": str(data)}
    assert meta["model"]["input"] == {"shorter": 0, "longer": 0, "divisor": 32}
    assert meta["model"]["fusion"]["rule"] == "none"
    told = call("report", "first")
    assert (told.code, "pictures" in told.err) == (0, False), told.err
    assert (folder / "report" / "overlays").is_dir()
    assert "first" in call("leaderboard").out
    assert call("predict", data / "images", "--model", own / "model" / "mine.yaml", "--out", "pictures").code == 0


def test_a_root_that_moved_is_named_and_the_remedy(own: Path, call: Call) -> None:
    assert call("run", "--model", own / "model/mine.yaml", "--dataset", own / "data/mine.yaml").code == 0
    shutil.move(own / "data", own / "moved")
    told = call("report", "mine")
    assert told.code == 0 and "No pictures: " in told.err and str(own / "data" / "mine.yaml") in told.err
    assert "--data-root, --dataset or --gt" in told.err
    gone = call("data", "check", own / "moved" / "mine.yaml", "--data-root", "nowhere")
    assert gone.code == 3 and "nowhere: there is no such folder" in gone.err and "minicity" not in gone.err
    again = call("report", "mine", "--dataset", own / "moved" / "mine.yaml", "--out", "report")
    assert again.code == 0 and "pictures" not in again.err and Path("report/overlays").is_dir()
    assert call("report", "mine", "--dataset", own / "moved" / "none.yaml").code == 2


def test_an_adapter_in_place_of_its_yaml_and_a_missing_folder_of_weights(own: Path, call: Call) -> None:
    told = call("models", "check", own / "model" / "mine.py")
    assert told.code == 2 and "mine.py: name the YAML" in told.err
    file = own / "model" / "mine.yaml"
    file.write_text(file.read_text(encoding="utf-8").replace("weights: none", "path: nowhere"), encoding="utf-8")
    told = call("models", "check", file)
    assert told.code == 4 and f"{own / 'model' / 'nowhere'}: there is no such path" in told.err


def test_a_default_folder_of_pngs_that_is_missing_is_named_with_its_option(own: Path, call: Call) -> None:
    data = own / "data"
    truth = ["--gt", data / "gt.json", "--gt-dir", data / "gt"]
    shutil.copy(data / "gt.json", own / "made.json")
    told = call("score", *truth, "--pred", own / "made.json")
    assert told.code == 3 and f"{own / 'made'}: there is no such folder" in told.err and "--pred-dir" in told.err


def test_files_scored_against_files_have_a_gallery(own: Path, call: Call) -> None:
    data = own / "data"
    files = ["--gt", data / "gt.json", "--gt-dir", data / "gt", "--pred", data / "gt.json", "--pred-dir", data / "gt"]
    assert call("score", *files, "--name", "perfect", "--out", "results").code == 0
    grey = call("report", "perfect", "--out", "grey")
    assert grey.code == 0 and "drawn on grey; give their folder by --image-dir" in grey.err
    real = call("report", "perfect", "--image-dir", data / "images", "--out", "real")
    assert real.code == 0 and real.err == ""
    named = call("report", "perfect", "--gt", data / "gt.json", "--image-dir", data / "images", "--out", "named")
    assert named.code == 0 and named.err == ""
    pages = [Path(name, "index.html").read_bytes() for name in ("grey", "real", "named")]
    assert pages[0] != pages[1] == pages[2]


def test_runs_are_found_by_name_hash_and_beginning(own: Path, call: Call) -> None:
    data = own / "data"
    files = ["--gt", data / "gt.json", "--gt-dir", data / "gt", "--pred", data / "gt.json", "--pred-dir", data / "gt"]
    for name in ("base", "base-2"):
        assert call("score", *files, "--name", name, "--out", "results").code == 0
    (folder,) = Path("results/gt-files/base-2").iterdir()
    shown = [call("show", name, "--json") for name in ("base-2", "gt-files/base-2", "base-", folder)]
    assert [one.code for one in shown] == [0, 0, 0, 0] and {one.out for one in shown} == {shown[0].out}
    assert call("compare", "base", "base-2").code == 0 and call("verify", "base-2").code == 0
    several = call("show", "bas")
    assert several.code == 2 and "bas: the name fits 2 runs" in several.err and str(folder) in several.err
    assert call("show", "none").code == 3
    refused = call("score", *files, "--name", "a/b", "--out", "results")
    assert refused.code == 2 and "--name 'a/b'" in refused.err
