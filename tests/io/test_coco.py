import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from PIL import Image
from scenes import SPACE, Scene, panoptic, scenes

from bench.errors import DataError
from bench.io import coco
from bench.io.coco_writer import write_panoptic
from bench.types import Panoptic, SegmentInfo

ROWS = [[0, 0, 7, 7], [300, 300, 70000, 70000]]
ANNOTATION = {
    "image_id": 12,
    "file_name": "a.png",
    "segments_info": [
        {"id": 70000, "category_id": 3, "area": 9, "iscrowd": 1},
        {"id": 7, "category_id": 1, "score": 0.25},
        {"id": 300, "category_id": 1, "area": 2.0, "iscrowd": 0},
    ],
}
GROUND_TRUTH = {
    "images": [{"id": 12, "file_name": "a.jpg", "height": 2, "width": 4}],
    "annotations": [ANNOTATION],
    "categories": [
        {"id": 3, "name": "crowd", "isthing": 1, "color": [9, 8, 7]},
        {"id": 1, "name": "road", "isthing": 0},
    ],
}


def write_ids(path: Path, ids: list[list[int]]) -> Path:
    numbers = np.array(ids)
    rgb = np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], axis=-1)
    Image.fromarray(rgb.astype(np.uint8)).save(path)
    return path


def write_json(path: Path, data: Any) -> Path:
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return path


def test_reads_ids_in_the_order_of_the_json(tmp_path: Path):
    read = coco.read_panoptic(write_ids(tmp_path / "a.png", ROWS), ANNOTATION, {1, 3})
    assert read.id_map.tolist() == [[0, 0, 2, 2], [3, 3, 1, 1]]
    assert read.segments_info == (
        SegmentInfo(3, True, None, 70000, 9),
        SegmentInfo(1, False, 0.25, 7, None),
        SegmentInfo(1, False, None, 300, 2),
    )


def test_id_zero_is_void_unless_it_is_listed(tmp_path: Path):
    png = write_ids(tmp_path / "a.png", [[0, 5]])
    listed = {"segments_info": [{"id": 0, "category_id": 1}, {"id": 5, "category_id": 1}]}
    assert coco.read_panoptic(png, listed, {1}).id_map.tolist() == [[1, 2]]
    assert coco.read_panoptic(png, {"segments_info": listed["segments_info"][1:]}, {1}).id_map.tolist() == [[0, 1]]
    with pytest.raises(DataError, match=r"a\.png.*lists segment id 0"):
        coco.read_panoptic(png, listed, {1}, is_truth=True)


def test_json_keeps_the_order_and_makes_ids_strings(tmp_path: Path):
    data = copy.deepcopy(GROUND_TRUTH)
    data["annotations"] = [{**ANNOTATION, "image_id": image_id} for image_id in (12, "frankfurt_1", 3, "000003")]
    loaded = coco.load_json(write_json(tmp_path / "gt.json", data))
    assert list(loaded.annotations) == ["12", "frankfurt_1", "3", "000003"]
    assert loaded.images["12"]["file_name"] == "a.jpg"
    assert [(c.id, c.name, c.isthing) for c in loaded.categories] == [(3, "crowd", True), (1, "road", False)]
    colors = [c.color for c in loaded.categories]
    assert colors[0] == (9, 8, 7) and all(0 <= value < 256 for value in colors[1])


def test_predictions_may_do_without_images_and_categories(tmp_path: Path):
    loaded = coco.load_json(write_json(tmp_path / "pred.json", {"annotations": [ANNOTATION]}))
    assert list(loaded.annotations) == ["12"] and not loaded.images
    with pytest.raises(DataError, match=r"pred\.json: no `categories`"):
        _ = loaded.categories


@settings(max_examples=60, deadline=None)
@given(scene=scenes())
def test_written_and_read_back_is_the_same(scene: Scene, tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.getbasetemp() / "round.png"
    for source in (scene.truth.panoptic(), scene.prediction.panoptic()):
        annotation = json.loads(json.dumps(write_panoptic(path, source)))
        again = coco.read_panoptic(path, annotation, SPACE.ids, is_truth=True)
        assert (again.id_map == source.id_map).all()
        assert [(s.category_id, s.iscrowd, s.score) for s in again.segments_info] == [
            (s.category_id, s.iscrowd, s.score) for s in source.segments_info
        ]
        if all(s.source_id for s in source.segments_info):
            assert [s.source_id for s in again.segments_info] == [s.source_id for s in source.segments_info]


@settings(max_examples=60, deadline=None)
@given(scene=scenes())
def test_boxes_and_areas_are_those_of_the_masks(scene: Scene, tmp_path_factory: pytest.TempPathFactory):
    source = scene.prediction.panoptic()
    annotation = write_panoptic(tmp_path_factory.getbasetemp() / "boxes.png", source)
    for number, segment in enumerate(annotation["segments_info"], 1):
        ys, xs = np.nonzero(source.id_map == number)
        x, y = int(xs.min()), int(ys.min())
        assert segment["bbox"] == [x, y, int(xs.max()) - x + 1, int(ys.max()) - y + 1]


def test_writes_what_panopticapi_reads(tmp_path: Path):
    infos = {4: SegmentInfo(1, score=np.float32(0.87654321)), 66051: SegmentInfo(3, iscrowd=True)}
    annotation = write_panoptic(tmp_path / "a.png", panoptic([[0, 4, 66051]], infos))
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[[0, 0, 0], [4, 0, 0], [3, 2, 1]]]
    assert annotation == {
        "file_name": "a.png",
        "segments_info": [
            {"id": 4, "category_id": 1, "iscrowd": 0, "area": 1, "bbox": [1, 0, 1, 1], "score": 0.876543},
            {"id": 66051, "category_id": 3, "iscrowd": 1, "area": 1, "bbox": [2, 0, 1, 1]},
        ],
    }


@pytest.mark.parametrize("sources", [(None, 3), (0, 1), (1 << 24, 1), (5, 5), (-1, 2)])
def test_source_ids_that_a_png_cannot_hold_are_numbered_anew(sources: tuple[int | None, int], tmp_path: Path):
    infos = tuple(SegmentInfo(1, source_id=source) for source in sources)
    annotation = write_panoptic(tmp_path / "a.png", Panoptic(np.array([[1, 2]], np.int32), infos))
    assert [segment["id"] for segment in annotation["segments_info"]] == [1, 2]


def test_an_empty_prediction(tmp_path: Path):
    annotation = write_panoptic(tmp_path / "a.png", Panoptic(np.zeros((2, 3), np.int32), ()))
    assert annotation["segments_info"] == []
    assert coco.read_panoptic(tmp_path / "a.png", annotation, ()).size == (2, 3)


def test_real_annotations(shared_data: Path):
    folder = shared_data / "coco_panoptic"
    categories = {c["id"] for c in json.loads((folder / "panoptic_coco_categories.json").read_text())}
    loaded = coco.load_json(folder / "panoptic_examples.json")
    assert loaded.annotations
    for annotation in loaded.annotations.values():
        png = folder / "panoptic_examples" / annotation["file_name"]
        read = coco.read_panoptic(png, annotation, categories, is_truth=True)
        assert read.areas.tolist() == [s.declared_area for s in read.segments_info]


def _segment(position: int, **changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        segment = data["annotations"][0]["segments_info"][position]
        segment.update(changes)
        for key in [key for key, value in changes.items() if value is ...]:
            del segment[key]

    return change


def _annotation(**changes: Any) -> Callable[[dict[str, Any]], None]:
    def change(data: dict[str, Any]) -> None:
        annotation = data["annotations"][0]
        annotation.update(changes)
        for key in [key for key, value in changes.items() if value is ...]:
            del annotation[key]

    return change


def _category(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda data: data["categories"][0].update(changes)


def _twice(data: dict[str, Any]) -> None:
    data["annotations"].append({**ANNOTATION, "image_id": "12"})


BROKEN_JSON = {
    "no annotations": (lambda data: data.pop("annotations"), "no list `annotations`"),
    "annotations no list": (lambda data: data.update(annotations={}), "no list `annotations`"),
    "an annotation is no object": (lambda data: data["annotations"].append(3), r"annotations\[1\] has no"),
    "no image id": (_annotation(image_id=...), r"annotations\[0\] has no `image_id`"),
    "an image twice": (_twice, "image '12': it is in `annotations` twice"),
    "no file name": (_annotation(file_name=...), "image '12': no `file_name`"),
    "file name up": (_annotation(file_name="../../etc/a.png"), "image '12': .*leaves the folder"),
    "file name inside up": (_annotation(file_name="a/../../b.png"), "leaves the folder"),
    "file name absolute": (_annotation(file_name="/etc/a.png"), "leaves the folder"),
    "file name windows": (_annotation(file_name="..\\a.png"), "leaves the folder"),
    "file name drive": (_annotation(file_name="C:\\a.png"), "leaves the folder"),
    "no segments": (_annotation(segments_info=...), "image '12': no list `segments_info`"),
    "a segment is no object": (_annotation(segments_info=[5]), r"segments_info\[0\]: it is 5"),
    "no segment id": (_segment(1, id=...), r"image '12': segments_info\[1\]: no `id`"),
    "segment id is text": (_segment(1, id="7"), "`id` is '7', not an integer"),
    "segment id too large": (_segment(1, id=1 << 24), "does not fit the 24 bits"),
    "segment id negative": (_segment(1, id=-1), "does not fit the 24 bits"),
    "segment id twice": (_segment(1, id=300), r"segments_info\[2\]: id 300 is listed twice"),
    "no category": (_segment(0, category_id=...), r"segments_info\[0\]: no `category_id`"),
    "unknown category": (_segment(0, category_id=8), "image '12': segment 70000 has category_id 8"),
    "crowd of 2": (_segment(0, iscrowd=2), "iscrowd is 2"),
    "area of nothing": (_segment(0, area=-1), "`area` is -1, not a number of pixels; leave it out"),
    "half an id": (_segment(0, id=3.5), "`id` is 3.5, not an integer"),
    "score is text": (_segment(1, score="high"), "score is 'high'"),
    "categories no list": (lambda data: data.update(categories=3), "`categories` is not a list"),
    "category no object": (lambda data: data.update(categories=[1]), "a category is 1"),
    "category without name": (_category(name=None), "no `name`"),
    "category neither thing nor stuff": (_category(isthing=2), "category 'crowd': isthing is 2"),
    "category id twice": (_category(id=1), "category id 1 is listed twice"),
    "images no list": (lambda data: data.update(images=4), "`images` is not a list"),
}


@pytest.mark.parametrize("case", BROKEN_JSON)
def test_broken_json_names_the_file_and_the_place(case: str, tmp_path: Path):
    change, message = BROKEN_JSON[case]
    data = copy.deepcopy(GROUND_TRUTH)
    coco.load_json(write_json(tmp_path / "gt.json", data))
    change(data)
    with pytest.raises(DataError, match=message) as error:
        coco.load_json(write_json(tmp_path / "gt.json", data), is_truth=True)
    assert str(tmp_path / "gt.json") in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b'{"annotations": [', "not valid JSON"), (b"\xff\xfe\x00", "not valid JSON"), (b"[]", "no list `annotations`"),
     (b"[" * 100_000, "cannot be read|not valid JSON")],
    ids=["syntax", "bytes", "list", "deep"],
)  # fmt: skip
def test_a_file_that_is_no_json(content: bytes, message: str, tmp_path: Path):
    (tmp_path / "gt.json").write_bytes(content)
    with pytest.raises(DataError, match=rf"gt\.json: ({message})"):
        coco.load_json(tmp_path / "gt.json")


def test_files_that_are_missing(tmp_path: Path):
    with pytest.raises(DataError, match=r"gt\.json: there is no such file"):
        coco.load_json(tmp_path / "gt.json")
    with pytest.raises(DataError, match=r"a\.png: there is no such file"):
        coco.read_panoptic(tmp_path / "a.png", ANNOTATION, {1, 3})


@pytest.mark.parametrize(
    ("rows", "message"),
    [([[7, 300, 70000, 9]], r"ids \[9\] cover 1 pixels but are not in segments_info; PNG and JSON do not belong"),
     ([[0, 7, 300, 0]], r"segments_info lists ids \[70000\] that no pixel has")],
    ids=["unlisted", "absent"],
)  # fmt: skip
def test_png_and_json_that_do_not_fit(rows: list[list[int]], message: str, tmp_path: Path):
    png = write_ids(tmp_path / "a.png", rows)
    with pytest.raises(DataError, match=rf"a\.png, image 12: {message}"):
        coco.read_panoptic(png, ANNOTATION, {1, 3})


def test_a_category_that_is_not_known(tmp_path: Path):
    png = write_ids(tmp_path / "a.png", ROWS)
    with pytest.raises(DataError, match=r"a\.png, image 12: segment 70000 has category_id 3"):
        coco.read_panoptic(png, ANNOTATION, {1})


@pytest.mark.parametrize("mode", ["L", "P", "LA", "I;16"])
def test_a_png_that_is_not_rgb_is_refused(mode: str, tmp_path: Path):
    Image.new(mode, (4, 2)).save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"a\.png: not an RGB PNG of 8 bits a channel"):
        coco.read_panoptic(tmp_path / "a.png", ANNOTATION, {1, 3})


def test_a_jpeg_in_disguise_is_refused(tmp_path: Path):
    Image.new("RGB", (4, 2)).save(tmp_path / "a.png", format="JPEG")
    with pytest.raises(DataError, match=r"a\.png: not an RGB PNG"):
        coco.read_panoptic(tmp_path / "a.png", ANNOTATION, {1, 3})


def test_a_damaged_png_is_an_error_or_harmless_at_every_byte(tmp_path: Path):
    whole = write_ids(tmp_path / "a.png", ROWS).read_bytes()
    broken = 0
    for position in range(len(whole)):
        for damaged in (whole[:position], whole[:position] + bytes([whole[position] ^ 0x55]) + whole[position + 1 :]):
            (tmp_path / "a.png").write_bytes(damaged)
            try:
                coco.read_panoptic(tmp_path / "a.png", ANNOTATION, {1, 3})
            except DataError as error:
                assert "a.png" in str(error)
                broken += 1
    assert broken > len(whole)  # every truncation that loses pixels, and most flips
