"""One fault at a time in a clean tree of Cityscapes' layout."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage
from tiny import LABELS, CityTree, Planted, city_tree

from bench.datasets.check.check import check_dataset, check_samples
from bench.datasets.check.common import CheckOptions
from bench.datasets.registry import load_dataset
from bench.errors import DataError

B = "bonn_000001_000019"
Fault = Callable[[CityTree], Planted]


def picture_without_label(tree: CityTree) -> Planted:
    tree.label().unlink()
    return Planted("picture-without-label", B)


def label_without_picture(tree: CityTree) -> Planted:
    tree.picture().unlink()
    return Planted("label-without-picture", B)


def picture_twice(tree: CityTree) -> Planted:
    folder = tree.root / "leftImg8bit" / "val" / "ulm"
    folder.mkdir()
    shutil.copy(tree.picture(), folder)
    return Planted("picture-twice", B)


def picture_unreadable(tree: CityTree) -> Planted:
    tree.picture().write_bytes(b"no picture")
    return Planted("picture-unreadable", B)


def label_unreadable(tree: CityTree) -> Planted:
    tree.label().write_bytes(tree.label().read_bytes()[:70])
    return Planted("label-unreadable", B)


def label_format(tree: CityTree) -> Planted:
    PilImage.new("RGB", (8, 6)).save(tree.label())
    return Planted("label-format", B)


def label_unknown(tree: CityTree) -> Planted:
    tree.draw(np.where(LABELS == 26000, 99, LABELS))
    return Planted("label-unknown", B, 6)


def label_train_ids(tree: CityTree) -> Planted:
    tree.draw(np.select([LABELS == 7, LABELS == 23, LABELS >= 1000], [0, 10, 13], 255))
    return Planted("label-train-ids", B, 42)


def stuff_instance(tree: CityTree) -> Planted:
    tree.draw(np.where(LABELS == 7, 7001, LABELS))
    return Planted("stuff-instance", B, 16)


def size_picture(tree: CityTree) -> Planted:
    PilImage.new("RGB", (4, 3)).save(tree.picture())
    return Planted("size-picture", B, 48)


def map_transposed(tree: CityTree) -> Planted:
    tree.draw(LABELS.T)
    return Planted("map-transposed", B, 48)


def all_void(tree: CityTree) -> Planted:
    tree.draw(0 * LABELS)
    return Planted("all-void", B, 48)


CASES: list[Fault] = [
    picture_without_label, label_without_picture, picture_twice, picture_unreadable, label_unreadable, label_format,
    label_unknown, label_train_ids, stuff_instance, size_picture, map_transposed, all_void,
]  # fmt: skip


@pytest.mark.parametrize("plant", CASES, ids=lambda plant: plant.__name__)
def test_a_fault_is_named(plant: Fault, tmp_path: Path) -> None:
    tree = city_tree(tmp_path)
    planted = plant(tree)
    found = [Planted(f.fault, f.image_id, f.pixels) for f in check_dataset("cityscapes", tree.root).findings]
    assert [one for one in found if one.fault not in ("class-absent", "much-void")] == [planted]


def test_clean_data_give_one_note(tmp_path: Path) -> None:
    report = check_dataset("cityscapes", city_tree(tmp_path).root)
    assert [f.fault for f in report.findings] == ["class-absent"]  # 15 of the 19 classes
    assert "15 of 19" in report.findings[0].what
    assert report.pixels["person"] == 10


def test_a_root_that_is_not_there_is_an_error_with_help(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Get it"):
        check_dataset("cityscapes", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("plant", "fault"),
    [(picture_unreadable, "picture-unreadable"), (label_unknown, "label-unreadable"), (size_picture, "size-picture"),
     (map_transposed, "map-transposed"), (all_void, "all-void")],
)  # fmt: skip
def test_any_layout_is_checked_through_its_loader(plant: Fault, fault: str, tmp_path: Path) -> None:
    tree = city_tree(tmp_path)
    plant(tree)
    report = check_samples(load_dataset("cityscapes", tree.root), CheckOptions())
    assert [(f.fault, f.image_id) for f in report.findings if f.fault not in ("class-absent", "much-void")] == [
        (fault, B)
    ]
