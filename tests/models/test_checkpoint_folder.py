"""A folder given by --checkpoint brings its own settings, or those of a real checkpoint of its classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.errors import BenchError, ModelError, UsageError
from bench.fusion.presets import PRESETS
from bench.io.config import load_yaml, shipped_configs
from bench.models.model_file import InputSize, ModelFile
from bench.models.resolve import IMAGES_ALONE, resolve_model

EMBEDDED = ("minicity", "miniika", "minicoco-cityscapes")
REAL = {
    "detr": InputSize(1024, 2048, 1), "efficientps": InputSize(1024, 2048), "eomt": InputSize(1024, 1024, 1024),
    "mask2former": InputSize(1024, 2048), "maskformer": InputSize(1024, 2048), "oneformer": InputSize(1024, 2048),
}  # fmt: skip
YAML = """\
title: Mine
adapter: ./mine.py:Mine
method: one-shot
fusion: {preset: mask2former}
defaults: {}
checkpoints:
  small: {path: ., categories: cityscapes-19, input: {shorter: 32, longer: 64}}
"""
MORE = "  large: {path: ./large, categories: coco-133, input: {shorter: 64, longer: 128}}\n"


def hub_folder(folder: Path, classes: int | None, **more: Any) -> str:
    """A folder whose config.json has so many classes, or says nothing of them."""
    folder.mkdir(exist_ok=True)
    names = {} if classes is None else {"id2label": {str(k): f"LABEL_{k}" for k in range(classes)}}
    (folder / "config.json").write_text(json.dumps({**names, **more}), encoding="utf-8")
    return str(folder)


@pytest.mark.parametrize("data", EMBEDDED)
@pytest.mark.parametrize("family", REAL)
@pytest.mark.parametrize("classes", [None, 19])
def test_on_an_embedded_set_it_is_no_tiny_network(family: str, data: str, classes: int | None, tmp_path: Path) -> None:
    spec = resolve_model(family, data, checkpoint=hub_folder(tmp_path, classes))
    file = load_yaml(shipped_configs("models")[family], ModelFile)
    assert (spec.input, spec.categories) == (REAL[family], "cityscapes-19")
    assert spec.fusion.score_threshold == PRESETS[file.fusion.preset or ""].score_threshold


@pytest.mark.parametrize(
    ("family", "classes", "size"),
    [("mask2former", 133, InputSize(800, 1333)), ("detr", 250, InputSize(800, 1333, 1)),
     ("detr", 133, InputSize(800, 1333, 1)), ("oneformer", 133, InputSize(800, 1333))],
)  # fmt: skip
@pytest.mark.parametrize("data", ["minicity", "minicoco", IMAGES_ALONE])
def test_the_number_of_classes_in_the_config_decides(
    family: str, classes: int, size: InputSize, data: str, tmp_path: Path
) -> None:
    spec = resolve_model(family, data, checkpoint=hub_folder(tmp_path, classes))
    assert (spec.input, spec.categories) == (size, "coco-133")


def test_a_folder_of_detr_on_minicoco_is_no_tiny_one_though_nothing_is_said(tmp_path: Path) -> None:
    spec = resolve_model("detr", "minicoco", checkpoint=hub_folder(tmp_path, None))
    assert (spec.input, spec.categories) == (InputSize(800, 1333, 1), "coco-133")


@pytest.mark.parametrize(("side", "input_side"), [(640, 640), (1280, 1280), (512, 640)])
def test_the_side_of_a_square_input_decides_too(side: int, input_side: int, tmp_path: Path) -> None:
    spec = resolve_model("eomt", "coco", checkpoint=hub_folder(tmp_path, 133, image_size=side))
    assert spec.input == InputSize(input_side, input_side, input_side)


def test_what_fits_nothing_is_told_with_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(ModelError) as error:
        resolve_model("mask2former", "minicity", checkpoint=hub_folder(tmp_path, 65))
    said = str(error.value)
    assert "config.json has 65 classes" in said and "cityscapes-19 and coco-133" in said
    assert f"write {tmp_path / 'bench.json'}" in said
    note = {"categories": "coco-133", "input": {"shorter": 96, "longer": 128}, "fusion": {"score_threshold": 0.3}}
    (tmp_path / "bench.json").write_text(json.dumps(note), encoding="utf-8")
    spec = resolve_model("mask2former", "minicity", checkpoint=str(tmp_path))
    assert (spec.input, spec.categories, spec.fusion.score_threshold) == (InputSize(96, 128), "coco-133", 0.3)


def test_a_composed_model_takes_no_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no settings for a folder of your own; write "):
        resolve_model("compose", "minicity", checkpoint=hub_folder(tmp_path, 19))


@pytest.mark.parametrize("content", ["", "[1]", "{", '{"id2label": 7}'])
def test_a_config_that_says_nothing_leaves_the_likeliest(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    assert resolve_model("mask2former", "minicity", checkpoint=str(tmp_path)).input == InputSize(1024, 2048)


def test_a_users_own_yaml_has_its_checkpoint_for_a_model(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(YAML, encoding="utf-8")
    other = hub_folder(tmp_path / "other", 19)
    assert resolve_model(str(tmp_path / "mine.yaml"), "minicity", checkpoint=other).input == InputSize(32, 64)


def test_the_only_checkpoint_is_taken_and_several_are_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(YAML, encoding="utf-8")
    assert resolve_model(str(path), IMAGES_ALONE).checkpoint == "small"
    assert resolve_model(str(path), "cityscapes", space="mine-5").checkpoint == "small"
    path.write_text(YAML + MORE, encoding="utf-8")
    with pytest.raises(BenchError, match="no checkpoint for images alone: give --checkpoint small or large, or give"):
        resolve_model(str(path), IMAGES_ALONE)


def test_the_folder_of_a_named_checkpoint_is_that_checkpoint() -> None:
    named = resolve_model("mask2former/minicity/tiny", "minicity")
    assert resolve_model("mask2former", "cityscapes", checkpoint=named.source) == named
