"""Files as users have them: each kind is read with the number of the plain files, or refused by name."""

from __future__ import annotations

import codecs
import io
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from place import Answer, Call, Place

CATEGORIES = [
    {"id": 7, "name": "road", "isthing": 0, "color": [128, 64, 128]},
    {"id": 26, "name": "car", "isthing": 1, "color": [0, 0, 142]},
]
CATEGORY_OF = {7: 7, 26001: 26, 70000: 26}
YAML = """\
title: mine
layout: coco
labels: from-file
splits: [val]
default_split: val
semantic_rule: detectron2
roots: {}
files: {val: {json: [gt.json], panoptic: [gt], images: [images]}}
tree: ""
obtain: ""
"""


def segments(ids: NDArray[Any]) -> list[dict[str, Any]]:
    numbers, areas = np.unique(ids, return_counts=True)
    pairs = zip(numbers.tolist(), areas.tolist(), strict=True)
    return [{"id": n, "category_id": CATEGORY_OF[n], "iscrowd": 0, "area": area} for n, area in pairs if n]


def rgb(ids: NDArray[Any]) -> NDArray[np.uint8]:
    return np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)


@dataclass
class Files:
    """Truth and prediction of two images; `save` writes them."""

    root: Path
    maps: dict[str, list[NDArray[Any]]] = field(default_factory=dict)
    json: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for side, shift in (("gt", 0), ("pred", 2)):
            ids = np.full((2, 40, 48), 7)
            ids[:, 5:20, 4 + shift : 20 + shift] = 26001
            ids[:, 25:39, 20 : 40 + shift] = 70000
            ids[:, 0] = 0 if side == "gt" else 7
            self.maps[side] = list(ids)
            self.json[side] = {
                "images": [{"id": i, "file_name": f"{i}.png", "height": 40, "width": 48} for i in (1, 2)],
                "annotations": [
                    {"image_id": i, "file_name": f"{i}.png", "segments_info": segments(ids[i - 1])} for i in (1, 2)
                ],
                "categories": CATEGORIES,
            }
            (self.root / side).mkdir()

    def save(self) -> None:
        for side, maps in self.maps.items():
            for i, ids in enumerate(maps, 1):
                Image.fromarray(rgb(ids)).save(self.png(side, i))
            self.file(side).write_text(json.dumps(self.json[side]))

    def png(self, side: str, number: int = 1) -> Path:
        return self.root / side / f"{number}.png"

    def file(self, side: str) -> Path:
        return self.root / f"{side}.json"

    def first(self, side: str) -> Any:
        """The first segment of a side's first image."""
        return self.json[side]["annotations"][0]["segments_info"][0]

    def arguments(self) -> list[object]:
        return ["score", *(x for s in ("gt", "pred") for x in (f"--{s}", self.file(s), f"--{s}-dir", self.root / s))]


@pytest.fixture
def made(tmp_path: Path) -> Files:
    found = Files(tmp_path)
    found.save()
    return found


def score(call: Call, files: Files, *more: object) -> tuple[Any, Answer]:
    """The JSON of a score, None if it is refused, and the answer."""
    answer = call(*files.arguments(), "--json", *more)
    return (json.loads(answer.out) if answer.code == 0 else None), answer


def with_alpha(files: Files) -> None:
    for side, maps in files.maps.items():
        for i, ids in enumerate(maps, 1):
            Image.fromarray(np.dstack([rgb(ids), np.full(ids.shape, 255, np.uint8)])).save(files.png(side, i))


def linked_files(files: Files) -> None:
    for path in [*files.root.glob("*/*.png"), *files.root.glob("*.json")]:
        store = files.root.parent / "store" / f"{path.parent.name}-{path.name}"
        store.parent.mkdir(exist_ok=True)
        path.rename(store)
        path.symlink_to(store)


def linked_folders(files: Files) -> None:
    for side in ("gt", "pred"):
        (files.root / side).rename(files.root.parent / f"elsewhere-{side}")
        (files.root / side).symlink_to(files.root.parent / f"elsewhere-{side}")


def with_marks(files: Files) -> None:
    for side in ("gt", "pred"):
        files.file(side).write_bytes(codecs.BOM_UTF8 + files.file(side).read_bytes())


def float_numbers(files: Files) -> None:
    for side in ("gt", "pred"):
        for annotation in files.json[side]["annotations"]:
            annotation["image_id"] = float(annotation["image_id"])
            for one in annotation["segments_info"]:
                one.update({key: float(value) for key, value in one.items()})
    files.save()


def areas_of_polygons(files: Files) -> None:
    """Areas of predictions are counted."""
    for area, annotation in zip((12.5, -3), files.json["pred"]["annotations"], strict=True):
        annotation["segments_info"][0]["area"] = area
    files.save()


def in_other_formats(files: Files) -> None:
    """The truth in TIFF, plain and packed, the predictions in BMP."""
    for side, ending in (("gt", "tiff"), ("pred", "bmp")):
        for i, annotation in enumerate(files.json[side]["annotations"], 1):
            annotation["file_name"] = f"{i}.{ending}"
            packed = {"compression": "tiff_lzw"} if (side, i) == ("gt", 2) else {}
            Image.open(files.png(side, i)).save(files.root / side / f"{i}.{ending}", **packed)
        files.file(side).write_text(json.dumps(files.json[side]))


SAME = [in_other_formats, with_alpha, linked_files, linked_folders, with_marks, float_numbers, areas_of_polygons]


@pytest.mark.parametrize("change", SAME, ids=lambda change: change.__name__)
def test_read_with_the_same_number(change: Callable[[Files], None], made: Files, call: Call) -> None:
    plain, _ = score(call, made)
    change(made)
    found, _ = score(call, made)
    assert found == plain and 0 < found["PQ"]["all"]["PQ"] < 1


def half_clear(files: Files) -> None:
    alpha = np.full((40, 48), 255, np.uint8)
    alpha[0] = 0
    Image.fromarray(np.dstack([rgb(files.maps["gt"][0]), alpha])).save(files.png("gt"))


def in_bgr(files: Files) -> None:
    Image.fromarray(rgb(files.maps["pred"][0])[..., ::-1].copy()).save(files.png("pred"))


def through_jpeg(files: Files) -> None:
    stream = io.BytesIO()
    Image.fromarray(rgb(files.maps["pred"][0])).save(stream, "JPEG", quality=95)
    Image.open(stream).save(files.png("pred"))


def renamed(files: Files, name: str) -> Path:
    """Name the first map of the truth `name`, which is to be written."""
    files.json["gt"]["annotations"][0]["file_name"] = name
    files.save()
    return files.root / "gt" / name


def jpeg_in_tiff(files: Files) -> None:
    Image.fromarray(rgb(files.maps["gt"][0])).save(renamed(files, "a.tif"), compression="jpeg")


def grey_tiff(files: Files) -> None:
    Image.fromarray(files.maps["gt"][0].astype(np.uint16)).save(renamed(files, "a.tif"))


def palette_bmp(files: Files) -> None:
    Image.fromarray(rgb(files.maps["gt"][0])).convert("P").save(renamed(files, "a.bmp"))


def five_bits(files: Files) -> None:
    """A BMP of 16 bits a pixel, which Pillow reads and does not write."""
    head = struct.pack("<2sIHHI IiiHHIIiiII", b"BM", 54 + 40 * 96, 0, 0, 54, 40, 48, 40, 1, 16, 0, 40 * 96, 0, 0, 0, 0)
    renamed(files, "a.bmp").write_bytes(head + bytes(40 * 96))


def in_utf_16(files: Files) -> None:
    files.file("gt").write_text(json.dumps(files.json["gt"]), encoding="utf-16")


def half_an_id(files: Files) -> None:
    files.first("gt")["id"] = 7.5
    files.save()


def half_an_image(files: Files) -> None:
    files.json["gt"]["annotations"][0]["image_id"] = 1.5
    files.save()


def instances(files: Files) -> None:
    objects = [{"id": k, "image_id": 1, "category_id": 26, "bbox": [0, 0, 3, 3], "segmentation": []} for k in (1, 2)]
    files.file("gt").write_text(json.dumps({**files.json["gt"], "annotations": objects}))


def detections(files: Files) -> None:
    files.file("pred").write_text(json.dumps([{"image_id": 1, "category_id": 26, "bbox": [0, 0, 3, 3], "score": 0.9}]))


def bare_list(files: Files) -> None:
    files.file("pred").write_text(json.dumps(files.json["pred"]["annotations"]))


def other_json(files: Files) -> None:
    files.file("gt").write_text(json.dumps({"shapes": [], "imagePath": "a.jpg"}))


def nothing_annotated(files: Files) -> None:
    files.json["gt"]["annotations"] = []
    files.save()


REFUSED = [
    (half_clear, ("gt/1.png", "alpha channel is not 255 in 48 pixels")),
    (in_bgr, ("pred/1.png", "red and blue swapped", "BGR")),
    (through_jpeg, ("pred/1.png", "as JPEG", "nearest")),
    (jpeg_in_tiff, ("gt/a.tif", "TIFF", "lossy formats change ids")),
    (grey_tiff, ("gt/a.tif", "TIFF of mode I;16 and 16 bits")),
    (palette_bmp, ("gt/a.bmp", "BMP of mode P")),
    (five_bits, ("gt/a.bmp", "BMP of mode RGB and 16 bits")),
    (in_utf_16, ("gt.json", "UTF-16", "UTF-8")),
    (half_an_id, ("gt.json, image '1'", "`id` is 7.5")),
    (half_an_image, ("gt.json", "annotations[0]", "1.5")),
    (instances, ("gt.json", "instances JSON", "panoptic")),
    (detections, ("pred.json", "list of detections", "segments_info")),
    (bare_list, ("pred.json", "list of annotations", '{"annotations"')),
    (other_json, ("gt.json", "no list `annotations`", "'shapes'")),
    (nothing_annotated, ("gt.json", "`annotations` is an empty list")),
]


@pytest.mark.parametrize(("change", "says"), REFUSED, ids=lambda value: getattr(value, "__name__", ""))
def test_refused_by_name(change: Callable[[Files], None], says: tuple[str, ...], made: Files, call: Call) -> None:
    change(made)
    _, answer = score(call, made)
    assert answer.code == 3
    assert [word for word in says if word not in answer.err] == []
    assert "kept" not in answer.err or "they are not kept" in answer.err


def test_the_limit_of_pixels_can_be_raised(made: Files, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    plain, _ = score(call, made)
    monkeypatch.setenv("BENCH_MAX_PIXELS", "1000")
    _, answer = score(call, made)
    assert answer.code == 3 and "BENCH_MAX_PIXELS=1920" in answer.err
    assert "--max-pixels 1920" in answer.err
    assert score(call, made, "--max-pixels", 1920)[0] == plain
    assert score(call, made)[1].code == 3
    check = ("data", "check", "--gt", made.file("gt"), "--gt-dir", made.root / "gt")
    assert (call(*check).code, call(*check, "--max-pixels", 1920).code) == (3, 0)
    monkeypatch.setenv("BENCH_MAX_PIXELS", "1920")
    assert score(call, made)[0] == plain
    monkeypatch.setenv("BENCH_MAX_PIXELS", "many")
    assert score(call, made)[1].code == 2


def test_what_is_forgiven_is_said(made: Files, call: Call, tmp_path: Path) -> None:
    """A truth of things alone on void: an invention costs nothing, which the table, the JSON and the page say."""
    for ids in made.maps["gt"]:
        ids[ids == 7] = 0
        ids[30:] = 0
    made.json["gt"]["annotations"][0]["segments_info"] = segments(made.maps["gt"][0])
    made.json["gt"]["annotations"][1]["segments_info"] = segments(made.maps["gt"][1])
    crowd = made.first("gt")
    crowd["iscrowd"] = 1
    made.save()
    found, answer = score(call, made, "--out", tmp_path / "out")
    void = sum(int((ids == 0).sum()) for ids in made.maps["gt"]) / (2 * 40 * 48)
    assert found["ignored"] == {
        "predicted_segments": 6, "on_void": 2, "on_crowd": 1, "void_share": void, "truth_segments": 4,
        "areas_unlike_pixels": 0, "without_pixels": 0,
    }  # fmt: skip
    assert f"{100 * void:.1f} % of the truth is void" in answer.err
    shown = call("show", tmp_path / "out")
    assert "ignored: 3 of 6 predicted segments (2 on void, 1 on crowds)" in shown.out
    assert call("verify", tmp_path / "out").code == 0
    page = Path(call("report", tmp_path / "out").out.splitlines()[0])
    assert "of the truth is void" in page.read_text()
    report = call("data", "check", "--gt", made.file("gt"), "--gt-dir", tmp_path / "gt")
    assert "much-void" in report.out


def test_areas_of_another_size_are_no_quality(made: Files, call: Call) -> None:
    for annotation in made.json["gt"]["annotations"]:
        for one in annotation["segments_info"]:
            one["area"] //= 9
    made.save()
    out = made.root / "out"
    found, answer = score(call, made, "--out", out)
    assert found["PQ"]["all"]["PQ"] > 1
    for told in (answer, call("show", out), call("compare", out, out), call("leaderboard", "--results", out)):
        assert "is above 100" in told.err and "--protocol strict" in told.err
    strict, answer = score(call, made, "--protocol", "strict")
    assert strict["PQ"]["all"]["PQ"] <= 1 and answer.err == ""


@pytest.mark.parametrize("area", [1, 0, None], ids=["stale", "counted", "none"])
def test_a_segment_of_the_truth_without_pixels(area: int | None, made: Files, call: Call) -> None:
    """A miss by protocol coco, as in panopticapi, with a warning; by protocol strict there is none."""
    plain, _ = score(call, made)
    gone = {"id": 26999, "category_id": 26, "iscrowd": 0, "area": area}
    made.json["gt"]["annotations"][0]["segments_info"].insert(0, gone)
    made.save()
    out = made.root / "out"
    found, answer = score(call, made, "--out", out)
    missed, before = ([(row["TP"], row["FP"], row["FN"]) for row in one["per_class"]] for one in (found, plain))
    assert missed[0] == before[0] and missed[1] == (*before[1][:2], before[1][2] + 1)
    assert found["ignored"]["without_pixels"] == found["ignored"]["areas_unlike_pixels"] == 1
    assert "1 of 7 segments" in answer.err and "1 of them has no pixel" in answer.err
    assert call("verify", out).code == call("report", out).code == 0
    strict, answer = score(call, made, "--protocol", "strict")
    assert strict["PQ"] == plain["PQ"] and answer.err == ""
    check = call("data", "check", "--gt", made.file("gt"), "--gt-dir", made.root / "gt")
    assert "segment 26999 has no pixel" in check.out


def test_an_area_of_zero_where_there_are_pixels(made: Files, call: Call) -> None:
    made.first("gt")["area"] = 0
    made.save()
    _, answer = score(call, made)
    assert answer.code == 3 and "has pixels and its `area` is 0" in answer.err


def test_a_fault_of_many_segments_is_one_row(made: Files, call: Call) -> None:
    for annotation in made.json["gt"]["annotations"]:
        for one in annotation["segments_info"]:
            del one["area"]
    made.save()
    arguments = ("data", "check", "--gt", made.file("gt"), "--gt-dir", made.root / "gt")
    short, every = call(*arguments), call(*arguments, "--all")
    assert short.out.count("area-missing") == 1 and short.out.count("declares no area") == 3
    assert every.out.count("area-missing") == every.out.count("declares no area") == 6
    assert len(json.loads(call(*arguments, "--json").out)["findings"]) == 6


def test_a_truth_of_fractional_areas_scores_with_them(made: Files, call: Call) -> None:
    plain, _ = score(call, made)
    made.first("gt")["area"] += 0.5
    made.save()
    found, _ = score(call, made)
    assert 0 < abs(found["PQ"]["all"]["PQ"] - plain["PQ"]["all"]["PQ"]) < 1e-3


def check_pictures(call: Call, files: Files) -> dict[str, list[str]]:
    """Fault → image ids of the findings of `data check` with pictures."""
    (files.root / "mine.yaml").write_text(YAML)
    answer = call("data", "check", files.root / "mine.yaml", "--data-root", files.root, "--json")
    found: dict[str, list[str]] = {}
    for finding in json.loads(answer.out)["findings"]:
        found.setdefault(finding["fault"], []).append(finding["image_id"])
    return found


def test_pictures_are_checked_as_they_are_read(made: Files, call: Call) -> None:
    (made.root / "images").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 48)).save(made.root / "images" / "1.png", exif=exif)
    Image.fromarray(np.full((40, 48), 4000, np.uint16)).save(made.root / "images" / "2.png")
    assert check_pictures(call, made) == {"picture-turned": ["1"], "picture-16-bit": ["2"]}
    Image.new("RGB", (48, 40)).save(made.root / "images" / "1.png", exif=exif)
    (made.root / "images" / "2.png").write_bytes(b"broken")
    assert check_pictures(call, made) == {"label-unturned": ["1"], "picture-unreadable": ["2"]}


def test_a_run_records_how_its_pictures_are_read(place: Place, call: Call) -> None:
    """Pictures of plain kinds leave the identity as it was."""
    assert call(*place.arguments("--limit", 1)).code == 0
    plain = place.run
    assert "pictures" not in json.loads((plain / "run.json").read_text())["dataset"]
    picture = next(place.data.glob(f"leftImg8bit/val/*/{place.images[0]}_leftImg8bit.png"))
    exif = Image.Exif()
    exif[0x0112] = 3
    with Image.open(picture) as image:
        image.save(picture, exif=exif)
    answer = call(*place.arguments("--limit", 1))
    assert answer.code == 0
    assert f"1 of {len(place.images)} pictures are turned by their EXIF orientation" in answer.err
    (turned,) = (folder for folder in plain.parent.iterdir() if folder != plain)
    assert json.loads((turned / "run.json").read_text())["dataset"]["pictures"] == {"turned": 1}
