"""The commands of docs/predictions.md run as they are written."""

from __future__ import annotations

import json
import re
from pathlib import Path

import dumps
import numpy as np
import pytest
from dumps import Drawn
from fakes import label_file
from PIL import Image
from place import Call, Place

from bench.datasets.label_spaces import load_space
from bench.types import Categories

SPACE = load_space("cityscapes-19").evaluated
PAGE = (Path(__file__).parents[2] / "docs" / "predictions.md").read_text(encoding="utf-8")
COMMANDS = [line.split() for line in re.findall(r"^    bench (.+)$|`bench (score --dataset .+?)`", PAGE, re.M)
            for line in line if line]  # fmt: skip


def coco_contiguous(folder: Path, drawn: dict[str, Drawn], space: Categories) -> None:
    change(folder, drawn, "category_id", lambda value: space.index_of[value])


def coco_suffixed(folder: Path, drawn: dict[str, Drawn], space: Categories) -> None:
    change(folder, drawn, "image_id", lambda value: f"val/{value}_leftImg8bit.png")


def change(folder: Path, drawn: dict[str, Drawn], key: str, to: object) -> None:
    """COCO's form, with the values at `key` replaced in annotations and segments."""
    dumps.coco(folder, drawn, SPACE)
    content = json.loads((folder / "whatever.json").read_text())
    for annotation in content["annotations"]:
        for row in (annotation, *annotation["segments_info"]):
            if key in row:
                row[key] = to(row[key])  # type: ignore[operator]
    (folder / "whatever.json").write_text(json.dumps(content))


DUMPS = (dumps.coco, coco_contiguous, coco_suffixed, dumps.instance_ids, dumps.detectron2_npz, dumps.detectron2_pair,
         dumps.detectron2_png, dumps.transformers, dumps.mmdetection, dumps.divided, dumps.labels, dumps.train_ids,
         dumps.colors)  # fmt: skip


@pytest.fixture(scope="module")
def dumped(template: Place, tmp_path_factory: pytest.TempPathFactory) -> Path:
    drawn = {}
    for number, image_id in enumerate(template.images):
        with Image.open(label_file(template.data, image_id)) as image:
            drawn[image_id] = dumps.draw(np.asarray(image), SPACE, np.random.default_rng(number))
    folder = tmp_path_factory.mktemp("dumped")
    for form in DUMPS:
        (folder / form.__name__).mkdir()
        form(folder / form.__name__, drawn, SPACE)
    return folder


def test_the_page_has_a_command_for_every_form() -> None:
    named = {word for command in COMMANDS for word in command}
    assert {form.__name__ for form in DUMPS} <= named


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: " ".join(command))
def test_a_command_of_the_page(
    command: list[str], template: Place, dumped: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dumped)
    monkeypatch.setenv("CITYSCAPES_DATASET", str(template.data))
    monkeypatch.delenv("BENCH_DATA", raising=False)
    answer = call(*command, "--json")
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    if command[0] == "convert":
        assert found["images"] == 6
    elif found["PQ"]["all"]["PQ"] is None:
        assert found["mIoU"]["semantic"] > 0.4
    else:
        assert found["PQ"]["all"]["PQ"] > 0.3
