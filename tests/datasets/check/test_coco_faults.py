"""One fault at a time in a clean COCO panoptic set: it is named, with image and pixels."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image as PilImage
from tiny import IDS, CocoTree, Planted, coco_tree

from bench.datasets.check.check import check_dataset, check_files
from bench.datasets.check.common import CheckOptions
from bench.datasets.check.findings import FAULTS

Fault = Callable[[CocoTree], Planted]
FOLLOWS = {"class-absent", "self-score", "much-void"}  # what else a fault may bring about


def json_unreadable(tree: CocoTree) -> Planted:
    (tree.root / "truth.json").write_text('{"annotations": [')
    return Planted("json-unreadable")


def json_format(tree: CocoTree) -> Planted:
    tree.data["images"] = {"a": 1}
    tree.save()
    return Planted("json-format")


def category_malformed(tree: CocoTree) -> Planted:
    tree.data["categories"].append({"id": 9, "name": "dog", "isthing": 7})
    tree.save()
    return Planted("category-malformed")


def category_twice(tree: CocoTree) -> Planted:
    tree.data["categories"].append({"id": 1, "name": "dog", "isthing": 1})
    tree.save()
    return Planted("category-twice")


def category_name_twice(tree: CocoTree) -> Planted:
    tree.data["categories"].append({"id": 9, "name": "car", "isthing": 1})
    tree.save()
    return Planted("category-name-twice")


def category_not_in_space(tree: CocoTree) -> Planted:
    tree.yaml.write_text(tree.yaml.read_text().replace("from-file", "coco-133"))
    return Planted("category-not-in-space")


def category_undeclared(tree: CocoTree) -> Planted:
    tree.segment(66000)["category_id"] = 77
    tree.save()
    return Planted("category-undeclared", "b", 6)


def category_unused(tree: CocoTree) -> Planted:
    tree.data["categories"].append({"id": 9, "name": "dog", "isthing": 1})
    tree.save()
    return Planted("class-absent", None, 0)


def image_malformed(tree: CocoTree) -> Planted:
    tree.data["images"].append({"file_name": "c.jpg"})
    tree.save()
    return Planted("image-malformed")


def image_twice(tree: CocoTree) -> Planted:
    tree.data["images"].append(copy.deepcopy(tree.data["images"][1]))
    tree.save()
    return Planted("image-twice", "b")


def image_without_annotation(tree: CocoTree) -> Planted:
    tree.data["images"].append({"id": "c", "file_name": "c.jpg", "height": 6, "width": 8})
    tree.save()
    return Planted("image-without-annotation", "c")


def annotation_malformed(tree: CocoTree) -> Planted:
    tree.data["annotations"].append({"file_name": "c.png", "segments_info": []})
    tree.save()
    return Planted("annotation-malformed")


def annotation_twice(tree: CocoTree) -> Planted:
    tree.data["annotations"].append(copy.deepcopy(tree.annotation()))
    tree.save()
    return Planted("annotation-twice", "b")


def annotation_without_image(tree: CocoTree) -> Planted:
    del tree.data["images"][1]
    tree.save()
    return Planted("annotation-without-image", "b")


def file_name_unsafe(tree: CocoTree) -> Planted:
    entry = {"image_id": "c", "file_name": "../c.png", "segments_info": []}
    tree.data["annotations"].append(entry)
    tree.data["images"].append({"id": "c", "file_name": "c.jpg"})
    tree.save()
    return Planted("file-name-unsafe", "c")


def png_missing(tree: CocoTree) -> Planted:
    tree.png().unlink()
    return Planted("png-missing", "b")


def png_unreadable(tree: CocoTree) -> Planted:
    tree.png().write_bytes(tree.png().read_bytes()[:60])
    return Planted("png-unreadable", "b")


def png_format(tree: CocoTree) -> Planted:
    PilImage.new("L", (8, 6)).save(tree.png())
    return Planted("png-format", "b")


def png_shared(tree: CocoTree) -> Planted:
    tree.annotation()["file_name"] = "a.png"
    tree.save()
    return Planted("png-shared", "b")


def png_without_annotation(tree: CocoTree) -> Planted:
    tree.draw(IDS, "stray")
    return Planted("png-without-annotation")


def picture_missing(tree: CocoTree) -> Planted:
    tree.picture().unlink()
    return Planted("picture-missing", "b")


def picture_unreadable(tree: CocoTree) -> Planted:
    tree.picture().write_bytes(tree.picture().read_bytes()[:300])
    return Planted("picture-unreadable", "b")


def picture_without_annotation(tree: CocoTree) -> Planted:
    PilImage.new("RGB", (8, 6)).save(tree.picture("stray"))
    return Planted("picture-without-annotation")


def segment_malformed(tree: CocoTree) -> Planted:
    tree.segment(66000)["iscrowd"] = 5
    tree.save()
    return Planted("segment-malformed", "b")


def negative_area(tree: CocoTree) -> Planted:
    tree.segment(66000)["area"] = -6
    tree.save()
    return Planted("segment-malformed", "b")


def id_zero(tree: CocoTree) -> Planted:
    tree.annotation()["segments_info"].append({"id": 0, "category_id": 2, "iscrowd": 0, "area": 6})
    tree.save()
    return Planted("id-zero", "b", 6)


def id_duplicate(tree: CocoTree) -> Planted:
    tree.annotation()["segments_info"].append({**tree.segment(300), "category_id": 2})
    tree.save()
    return Planted("id-duplicate", "b", 4)


def id_over_24_bit(tree: CocoTree) -> Planted:
    tree.annotation()["segments_info"].append({"id": 1 << 24, "category_id": 2, "iscrowd": 0, "area": 11})
    tree.save()
    return Planted("id-over-24-bit", "b", 11)


def id_not_in_png(tree: CocoTree) -> Planted:
    tree.annotation()["segments_info"].append({"id": 999, "category_id": 2, "iscrowd": 0, "area": 12})
    tree.save()
    return Planted("id-not-in-png", "b", 12)


def id_not_in_json(tree: CocoTree) -> Planted:
    tree.annotation()["segments_info"].remove(tree.segment(66000))
    tree.save()
    return Planted("id-not-in-json", "b", 6)


def no_segments(tree: CocoTree) -> Planted:
    tree.annotation()["segments_info"] = []
    tree.save()
    return Planted("no-segments", "b", 42)


def area_wrong(tree: CocoTree) -> Planted:
    tree.segment(300)["area"] = 40
    tree.save()
    return Planted("area-wrong", "b", 4)


def area_missing(tree: CocoTree) -> Planted:
    del tree.segment(300)["area"]
    tree.save()
    return Planted("area-missing", "b", 4)


def stuff_several(tree: CocoTree) -> Planted:
    tree.segment(301)["category_id"] = 4
    tree.save()
    return Planted("stuff-several", "b", 16)


def stuff_crowd(tree: CocoTree) -> Planted:
    tree.segment(20)["iscrowd"] = 1
    tree.save()
    return Planted("stuff-crowd", "b", 16)


def crowd_several(tree: CocoTree) -> Planted:
    tree.segment(300)["iscrowd"] = tree.segment(301)["iscrowd"] = 1
    tree.save()
    return Planted("crowd-several", "b", 5)


def size_declared(tree: CocoTree) -> Planted:
    tree.data["images"][1]["width"] = 9
    tree.save()
    return Planted("size-declared", "b", 48)


def size_picture(tree: CocoTree) -> Planted:
    PilImage.new("RGB", (16, 12)).save(tree.picture())
    return Planted("size-picture", "b", 48)


def map_transposed(tree: CocoTree) -> Planted:
    tree.draw(IDS.T)
    return Planted("map-transposed", "b", 48)


def all_void(tree: CocoTree) -> Planted:
    tree.draw(0 * IDS)
    tree.annotation()["segments_info"] = []
    tree.save()
    return Planted("all-void", "b", 48)


def no_images(tree: CocoTree) -> Planted:
    tree.data.update(images=[], annotations=[], categories=[])
    tree.save()
    for image_id in "ab":
        tree.png(image_id).unlink()
        tree.picture(image_id).unlink()
    return Planted("no-images")


def truth_unlike_itself(tree: CocoTree) -> Planted:
    tree.segment(20)["area"] = 1600
    tree.save()
    return Planted("self-score")


CASES: list[Fault] = [
    json_unreadable, json_format, category_malformed, category_twice, category_name_twice, category_not_in_space,
    category_undeclared, category_unused, image_malformed, image_twice, image_without_annotation,
    annotation_malformed, annotation_twice, annotation_without_image, file_name_unsafe, png_missing, png_unreadable,
    png_format, png_shared, png_without_annotation, picture_missing, picture_unreadable, picture_without_annotation,
    segment_malformed, negative_area, id_zero, id_duplicate, id_over_24_bit, id_not_in_png, id_not_in_json,
    no_segments, area_wrong, area_missing, stuff_several, stuff_crowd, crowd_several, size_declared, size_picture,
    map_transposed, all_void, no_images, truth_unlike_itself,
]  # fmt: skip
COMPANIONS = {  # the same fault seen from its other side
    "file_name_unsafe": {"image-without-annotation"},
    "png_shared": {"png-without-annotation"},
    "truth_unlike_itself": {"area-wrong"},
}


@pytest.mark.parametrize("plant", CASES, ids=lambda plant: plant.__name__)
def test_a_fault_is_named(plant: Fault, tmp_path: Path) -> None:
    tree = coco_tree(tmp_path)
    planted = plant(tree)
    report = check_dataset(str(tree.yaml), tree.root)
    found = [Planted(f.fault, f.image_id, f.pixels) for f in report.findings]
    assert planted in found
    allowed = {planted.fault} | FOLLOWS | COMPANIONS.get(plant.__name__, set())
    assert {f.fault for f in report.findings} <= allowed
    assert report.count("error") > 0 or FAULTS[planted.fault].severity != "error"


@pytest.mark.parametrize("plant", CASES, ids=lambda plant: plant.__name__)
def test_faults_add_up(plant: Fault, tmp_path: Path) -> None:
    """A second fault in the other image does not hide the first."""
    tree = coco_tree(tmp_path)
    tree.draw(0 * IDS, "a")
    planted = plant(tree)
    faults = {f.fault for f in check_dataset(str(tree.yaml), tree.root).findings}
    assert planted.fault in faults
    assert "id-not-in-png" in faults or plant in (json_unreadable, no_images)


def test_clean_data_give_nothing(tmp_path: Path) -> None:
    tree = coco_tree(tmp_path)
    done: list[tuple[int, int]] = []
    report = check_dataset(str(tree.yaml), tree.root, CheckOptions(on_image=lambda *step: done.append(step)))
    assert report.findings == ()
    assert report.images == 2
    assert report.pixels == {"person": 10, "car": 12, "road": 32, "sky": 30}
    assert done == [(1, 2), (2, 2)]


def test_limit_checks_the_first_images_alone(tmp_path: Path) -> None:
    tree = coco_tree(tmp_path)
    tree.picture("b").unlink()
    assert check_dataset(str(tree.yaml), tree.root, CheckOptions(limit=1)).findings == ()


def test_the_official_sample_is_clean(shared_data: Path) -> None:
    folder = shared_data / "coco_panoptic"
    report = check_files(folder / "panoptic_examples.json", folder / "panoptic_examples")
    assert (report.images, report.count("error"), report.count("warning")) == (2, 0, 0)
    assert sum(report.pixels.values()) == 427 * 640 + 360 * 640 - 9901
