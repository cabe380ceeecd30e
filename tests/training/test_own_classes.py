"""Training on a data set that lists its own classes: the checkpoint holds them and is a model by its folder."""

import json
from pathlib import Path

import numpy as np
import pytest
from own_data import write_own
from training_runs import recipe_of

from bench.datasets.label_map_files import find_label_map, load_map
from bench.datasets.registry import load_dataset
from bench.errors import UsageError
from bench.evaluation.run import run
from bench.io.canonical_json import to_plain
from bench.models.resolve import IMAGES_ALONE, resolve_model
from bench.training.train import train


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_own(tmp_path_factory.mktemp("own"))


def test_a_checkpoint_of_own_classes_is_a_model_anywhere(data, tmp_path, monkeypatch):
    folder = train(
        recipe_of(dataset=str(data), family="maskformer", steps=2), tmp_path / "trained", lambda report: None
    )
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(folder.rename(tmp_path / "elsewhere" / "moved").parent)
    spec = resolve_model("./moved", IMAGES_ALONE)
    assert [(c.id, c.name, c.isthing) for c in spec.space] == [(0, "wall", False), (7, "crack", True)]
    assert (spec.name, spec.checkpoint, spec.categories) == ("maskformer", "moved", "wall, crack (2)")
    done = run(spec, load_dataset(str(data)), "results")
    stored = json.loads((done.folder / "run.json").read_text(encoding="utf-8"))
    assert done.score.to_json()["PQ"]["all"]["n"] == 2 and stored["model"]["categories"] == "wall, crack (2)"


def test_a_folder_without_a_family_says_how_to_run_it(tmp_path):
    with pytest.raises(UsageError, match=r"no bench\.json here that names a model; give --model FAMILY --checkpoint"):
        resolve_model(str(tmp_path), None)


def test_own_classes_are_source_and_target_of_a_map(data: Path, tmp_path: Path) -> None:
    own, classes = load_dataset(str(data)), load_dataset("minicity:demo").categories
    names = {c.name: "crack" if c.name == "person" else "void" for c in classes}
    file = tmp_path / "map.yaml"
    content = {"source": to_plain(classes.items), "target": "from-file", "map": names}
    file.write_text(json.dumps(content), encoding="utf-8")
    found = find_label_map(("cityscapes-19", classes), ("mine", own.categories), str(file))
    assert found is not None and found.target == own.categories and found.names["person"] == "crack"
    with pytest.raises(UsageError, match=r"map\.yaml: from-file: needs a data set that lists its own classes"):
        load_map(str(file))


def test_a_derived_data_set_maps_the_classes_that_its_base_lists(data: Path, tmp_path: Path) -> None:
    (data.parent / "one.yaml").write_text("base: mine.yaml\nlabels: to-one.yaml\n", encoding="utf-8")
    (data.parent / "to-one.yaml").write_text(
        "source: from-file\ntarget: [{id: 1, name: stone, isthing: false}]\nmap: {wall: stone, crack: void}\n",
        encoding="utf-8",
    )
    derived = load_dataset(str(data.parent / "one.yaml"))
    truth = derived.samples[0].read_target()
    assert [c.name for c in derived.categories] == ["stone"]
    assert [info.category_id for info in truth.segments_info] == [1]
    assert np.count_nonzero(truth.id_map == 0) == 20 * 20 + 20 * 30
