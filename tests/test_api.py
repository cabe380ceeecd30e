"""The public names of `import bench`: cheap to import, the command line's own functions, documented by what runs."""

from __future__ import annotations

import doctest
import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest
from fakes import write_model, write_tree

import bench
from bench.datasets.synthetic.minicity.write import write_split
from bench.errors import NotComparable, PartialRun
from bench.results.run import Run

DOCUMENTED = (
    "bench",
    "bench.datasets.registry",
    "bench.models.loading",
    "bench.evaluation.run",
    "bench.evaluation.score",
    "bench.analysis.comparison",
)
FRAMEWORKS = ("torch", "transformers", "pandas", "matplotlib")
HEAVY = (*FRAMEWORKS, "numpy", "PIL", "yaml", "typer")
HORIZON = '''
import numpy as np

from bench.types import Panoptic, Prediction, SegmentInfo


class Horizon:
    """Buildings above, road below."""

    def __init__(self, spec, device):
        self.categories = spec.space

    def predict(self, images):
        return [Prediction(self.panoptic(*image.size)) for image in images]

    def panoptic(self, height, width):
        ids = np.ones((height, width), dtype=np.int32)
        ids[int(0.6 * height) :] = 2
        return Panoptic.from_ids(ids, {1: SegmentInfo(11), 2: SegmentInfo(7)})
'''


@pytest.fixture(scope="session")
def three_scenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_split(tmp_path_factory.mktemp("minicity"), "demo", limit=3, workers=1)


@pytest.fixture
def workplace(three_scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's folder: a model that needs no framework, and minicity:demo with its first images alone."""
    write_model(tmp_path, "Horizon")
    (tmp_path / "mine.py").write_text(HORIZON, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("bench.datasets.synthetic.minicity.write.ensure", lambda *asked: three_scenes)
    return tmp_path


@pytest.mark.parametrize("name", DOCUMENTED)
def test_the_examples_of_the_documentation(workplace: Path, name: str) -> None:
    result = doctest.testmod(import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.attempted > 0
    assert result.failed == 0


def said(code: str) -> str:
    """What a fresh interpreter prints."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout


def test_importing_the_package_imports_nothing_heavy() -> None:
    assert said(f"import bench, sys; print([m for m in {HEAVY} if m in sys.modules])") == "[]\n"


def test_the_verbs_import_no_framework() -> None:
    ask = "import bench, sys; verbs = [getattr(bench, name) for name in bench.__all__]"
    assert said(f"{ask}; print([m for m in {FRAMEWORKS} if m in sys.modules])") == "[]\n"


def test_the_names_are_listed_and_the_others_are_not_there() -> None:
    assert set(bench.__all__) <= set(dir(bench))
    assert all(getattr(bench, name).__doc__ for name in bench.__all__)
    with pytest.raises(AttributeError, match="no attribute 'guess'"):
        _ = bench.guess


def test_the_functions_stay_when_their_modules_are_imported() -> None:
    """A submodule called like a function would take its place in the package."""
    for name in bench.__all__:
        import_module(getattr(bench, name).__module__)
    assert all(callable(getattr(bench, name)) for name in bench.__all__)


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Run, Run]:
    """A model, and its files with the cars called trucks."""
    write_tree(tmp_path / "data")
    data = bench.load_dataset("cityscapes", tmp_path / "data")
    one = bench.run(str(write_model(tmp_path)), data, tmp_path / "out")
    file = one.folder / "predictions" / "predictions.json"
    told = json.loads(file.read_text())
    for annotation in told["annotations"]:
        for segment in annotation["segments_info"]:
            segment["category_id"] = {26: 27}.get(segment["category_id"], segment["category_id"])
    (tmp_path / "other").mkdir()
    other = tmp_path / "other"
    for png in file.parent.glob("*.png"):
        png.rename(other / png.name)
    (other / "predictions.json").write_text(json.dumps(told))
    return one, bench.score(other, data, tmp_path / "out")


def test_the_frames_of_the_readme(runs: tuple[Run, Run]) -> None:
    text = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    lines = [line.strip() for line in text.splitlines() if "frame" in line.partition("#")[0] and line[:4] == "    "]
    assert len(lines) == 3
    exec("\n".join(lines), {"bench": bench, "run": runs[0], "other": runs[1]})
    assert list(bench.to_frame(runs)["PQ"]) == [run.score.PQ.all.PQ for run in runs]
    assert list(runs[0].to_frame()["PQ"].dropna()) == [r.PQ for r in runs[0].score.per_class if r.PQ is not None]


def test_compare_is_b_minus_a(runs: tuple[Run, Run]) -> None:
    one, other = runs
    found = bench.compare(one, other.folder).to_json()
    for quality in ("PQ", "SQ", "RQ"):
        a, b = getattr(one.score.PQ.all, quality), getattr(other.score.PQ.all, quality)
        assert (found[quality]["a"], found[quality]["b"]) == pytest.approx((a, b), abs=1e-12)
        assert found[quality]["difference"] == pytest.approx(b - a, abs=1e-12)
    rows = {row["name"]: row for row in found["per_class"]}
    assert rows["car"]["PQ"]["b"] == 0.0 and rows["car"]["PQ"]["difference"] < 0  # cars are called trucks
    assert rows["sidewalk"]["PQ"]["difference"] == 0.0
    assert found["mIoU panoptic"]["difference"] < 0
    assert found["mIoU semantic"]["b"] is None  # the files have no semantic maps
    assert found["mIoU semantic"]["difference"] is None


def test_runs_of_other_truth_or_rules_are_not_compared(runs: tuple[Run, Run], tmp_path: Path) -> None:
    one, _ = runs
    data = bench.load_dataset("cityscapes", tmp_path / "data")
    model = str(tmp_path / "mine.yaml")
    strict = bench.run(model, data, tmp_path / "out", protocol="strict")
    with pytest.raises(NotComparable, match="differ in the PQ protocol;") as refused:
        bench.compare(one, strict)
    assert refused.value.exit_code == 6
    with pytest.raises(NotComparable, match="differ in the images or their ground truth;"):
        bench.compare(one, bench.run(model, data.limited(3), tmp_path / "out"))
    (strict.folder / "done.json").unlink()
    with pytest.raises(PartialRun):
        bench.compare(one, strict.folder)
