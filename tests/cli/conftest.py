"""A data set, a user's model, and the command line called in this process."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import dumps
import numpy as np
import pytest
from dumps import Drawn
from fakes import label_file, write_model, write_tree
from PIL import Image
from place import Answer, Call, Place

from bench.datasets.label_spaces import load_space


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`call("run", "--model", ...)`: the entry point in this process."""
    from bench.cli import main

    def answer(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["bench", *(str(a) for a in arguments)])
        with pytest.raises(SystemExit) as leave:
            main()
        said = capsys.readouterr()
        return Answer(int(leave.value.code or 0), said.out, said.err)

    return answer


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("template")
    images = write_tree(folder / "data")
    write_model(folder)
    return Place(folder, tuple(images))


@pytest.fixture
def place(template: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A fresh copy; roots that the machine may name are out of sight."""
    for variable in ("BENCH_DATA", "CITYSCAPES_DATASET", "DETECTRON2_DATASETS", "BENCH_DATA_ROOT", "BENCH_OUT"):
        monkeypatch.delenv(variable, raising=False)
    folder = tmp_path / "place"
    shutil.copytree(template.folder, folder)
    return Place(folder, template.images)


@pytest.fixture(scope="session")
def scored(template: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run, with its predictions."""
    from bench.datasets.registry import load_dataset
    from bench.evaluation.run import run
    from bench.models.resolve import resolve_model

    data = load_dataset("cityscapes", template.data)
    return run(resolve_model(str(template.model), "cityscapes"), data, tmp_path_factory.mktemp("scored")).folder


@pytest.fixture(scope="session")
def drawn(template: Place) -> dict[str, Drawn]:
    """Predictions drawn near the truth of the template, by image id."""
    space, found = load_space("cityscapes-19").evaluated, {}
    for number, image_id in enumerate(template.images):
        with Image.open(label_file(template.data, image_id)) as image:
            found[image_id] = dumps.draw(np.asarray(image), space, np.random.default_rng(number))
    return found
