"""COCO panoptic trees and zips: every documented place is found, and gives the same samples."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

import numpy as np
import pytest
from PIL import Image as PilImage

from bench.datasets.dataset import Dataset, DatasetSpec
from bench.datasets.label_spaces import load_space
from bench.datasets.registry import load_dataset
from bench.errors import DataError, UsageError
from bench.io.archive import locate
from bench.io.config import load_yaml, shipped_configs

NAMES = [f"{n:012d}" for n in (139, 285, 632)]
IDS = np.array([[0, 5, 5, 5], [70000, 70000, 5, 5], [70000, 70000, 5, 300]])
INFOS = [
    {"id": 5, "category_id": 187, "iscrowd": 0, "area": 6},
    {"id": 70000, "category_id": 1, "iscrowd": 1, "area": 4},
    {"id": 300, "category_id": 3, "iscrowd": 0, "area": 1},
]


def png_of(ids: np.ndarray) -> bytes:
    rgb = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    file = io.BytesIO()
    PilImage.fromarray(rgb).save(file, "PNG")
    return file.getvalue()


def jpg_of(n: int) -> bytes:
    file = io.BytesIO()
    PilImage.new("RGB", (4, 3), (n, n, n)).save(file, "JPEG")
    return file.getvalue()


def truth() -> bytes:
    space = load_space("coco-133").evaluated
    return json.dumps(
        {
            "categories": [{"id": c.id, "name": c.name, "isthing": int(c.isthing)} for c in space],
            "images": [{"id": int(n), "file_name": f"{n}.jpg", "height": 3, "width": 4} for n in NAMES],
            "annotations": [{"image_id": int(n), "file_name": f"{n}.png", "segments_info": INFOS} for n in NAMES],
        }
    ).encode()


def write(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def zipped(files: dict[str, bytes], method: int = ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with ZipFile(file, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


PICTURES = {f"val2017/{n}.jpg": jpg_of(int(n) % 200) for n in NAMES}
PNGS = {f"panoptic_val2017/{n}.png": png_of(IDS) for n in NAMES}
JSON = {"annotations/panoptic_val2017.json": truth()}


def official(root: Path) -> None:
    write(root, PICTURES | JSON | {f"annotations/{name}": content for name, content in PNGS.items()})


def detectron2(root: Path) -> None:
    write(root, PICTURES | JSON | PNGS)


def inner_zip(root: Path) -> None:
    write(root, PICTURES | JSON | {"annotations/panoptic_val2017.zip": zipped(PNGS)})


def zips(root: Path, method: int = ZIP_DEFLATED) -> None:
    annotations = JSON | {"annotations/panoptic_val2017.zip": zipped(PNGS)}
    write(root, {"val2017.zip": zipped(PICTURES, ZIP_STORED),
                 "panoptic_annotations_trainval2017.zip": zipped(annotations, method)})  # fmt: skip


def zips_stored(root: Path) -> None:
    zips(root, ZIP_STORED)


def facts(data: Dataset) -> list[object]:
    return [
        (s.image_id, s.group, s.read_image().rgb.tobytes(), s.read_target().id_map.tobytes(),
         s.read_target().segments_info)
        for s in data.samples
    ]  # fmt: skip


@pytest.mark.parametrize("lay", [official, detectron2, inner_zip, zips, zips_stored])
def test_every_place_gives_the_same(lay, tmp_path: Path) -> None:
    lay(tmp_path)
    data = load_dataset("coco", tmp_path)
    assert [s.image_id for s in data.samples] == ["139", "285", "632"]
    assert len(data.categories) == 133 and int(data.categories.isthing.sum()) == 80
    target = data.samples[0].read_target()
    assert [(s.category_id, s.iscrowd, s.source_id) for s in target.segments_info] == [
        (187, False, 5), (1, True, 70000), (3, False, 300)]  # fmt: skip
    assert target.areas.tolist() == [6, 4, 1]
    official(tmp_path / "plain")
    assert facts(data) == facts(load_dataset("coco", tmp_path / "plain"))


def test_threads_may_read_one_zip(tmp_path: Path) -> None:
    many = {f"f/{n}": np.random.default_rng(n).bytes(2000 + n) for n in range(64)}
    write(tmp_path, {"outer.zip": zipped({"in.zip": zipped(many)})})
    folder = locate(tmp_path, "outer.zip/in.zip/f")
    with ThreadPoolExecutor(8) as pool:
        read = list(pool.map(lambda n: (folder / str(n % 64)).read_bytes(), range(512)))
    assert read == [many[f"f/{n % 64}"] for n in range(512)]


def test_environment_names_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zips(tmp_path / "coco")
    monkeypatch.delenv("BENCH_DATA", raising=False)
    monkeypatch.setenv("DETECTRON2_DATASETS", str(tmp_path))
    assert len(load_dataset("coco:val").samples) == 3
    with pytest.raises(DataError, match="train2017"):
        load_dataset("coco:train")


def test_without_a_root_it_says_where_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BENCH_DATA", "DETECTRON2_DATASETS"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(DataError, match=r"panoptic_annotations_trainval2017\.zip"):
        load_dataset("coco")
    with pytest.raises(DataError, match="looked for val2017"):
        load_dataset("coco", tmp_path)


def test_a_broken_zip_is_a_data_error(tmp_path: Path) -> None:
    zips(tmp_path)
    whole = (tmp_path / "val2017.zip").read_bytes()
    (tmp_path / "val2017.zip").write_bytes(whole[:-30])
    with pytest.raises(DataError, match=r"val2017\.zip: cannot be read from the zip"):
        load_dataset("coco", tmp_path)
    flipped = bytearray(whole)
    flipped[200] ^= 255
    (tmp_path / "val2017.zip").write_bytes(bytes(flipped))
    with pytest.raises(DataError, match=r"000000000139\.jpg: cannot be read from the zip"):
        load_dataset("coco", tmp_path).samples[0].read_image()


def test_a_member_that_declares_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zips(tmp_path)
    monkeypatch.setattr("bench.io.archive.MAX_MEMBER", 100)
    with pytest.raises(DataError, match="more than 100"):
        load_dataset("coco", tmp_path)


def test_missing_pictures_are_counted(tmp_path: Path) -> None:
    official(tmp_path)
    (tmp_path / "val2017" / f"{NAMES[1]}.jpg").unlink()
    with pytest.raises(DataError, match=r"1 of 3 pictures are missing, first .*285\.jpg"):
        load_dataset("coco", tmp_path)


def test_a_picture_outside_the_folder_is_refused(tmp_path: Path) -> None:
    official(tmp_path)
    data = json.loads(truth())
    data["images"][0]["file_name"] = "../secret.jpg"
    write(tmp_path, {"annotations/panoptic_val2017.json": json.dumps(data).encode()})
    with pytest.raises(DataError, match="leaves the folder"):
        load_dataset("coco", tmp_path)


def test_categories_must_be_those_of_the_space(tmp_path: Path) -> None:
    official(tmp_path)
    data = json.loads(truth())
    data["categories"][0]["isthing"] = 0
    write(tmp_path, {"annotations/panoptic_val2017.json": json.dumps(data).encode()})
    with pytest.raises(DataError, match="category 1 'person' \\(stuff\\) is not in the label space"):
        load_dataset("coco", tmp_path)


def test_from_file_takes_the_categories_of_the_json(tmp_path: Path) -> None:
    """ADE20K's layout, as Mask2Former's preparation leaves it: string ids, contiguous categories from 0."""
    infos = [{"id": 5, "category_id": 0, "iscrowd": 0, "area": 6}, {"id": 70000, "category_id": 12, "iscrowd": 0,
             "area": 4}, {"id": 300, "category_id": 12, "iscrowd": 0, "area": 1}]  # fmt: skip
    ade = {
        "categories": [{"id": 0, "name": "wall", "isthing": 0}, {"id": 12, "name": "person, individual", "isthing": 1}],
        "images": [{"id": "ADE_val_00000001", "file_name": "ADE_val_00000001.jpg", "height": 3, "width": 4}],
        "annotations": [{"image_id": "ADE_val_00000001", "file_name": "ADE_val_00000001.png", "segments_info": infos}],
    }
    write(tmp_path, {
        "ade20k_panoptic_val.json": json.dumps(ade).encode(),
        "ade20k_panoptic_val/ADE_val_00000001.png": png_of(IDS),
        "images/validation/ADE_val_00000001.jpg": jpg_of(9),
    })  # fmt: skip
    data = load_dataset("ade20k", tmp_path)
    assert [c.name for c in data.categories] == ["wall", "person, individual"]
    assert [s.category_id for s in data.samples[0].read_target().segments_info] == [0, 12, 12]
    assert data.samples[0].read_image().size == (3, 4)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("mapillary-vistas-v1.2", "v1.2/panoptic"), ("mapillary-vistas-v1.2", "panoptic"),
     ("mapillary-vistas-v2", "v2.0/panoptic")],
)  # fmt: skip
def test_mapillary_lies_as_downloaded(name: str, folder: str, tmp_path: Path) -> None:
    year = 2020 if name.endswith("2") and "v2" in name else 2018
    data = json.loads(truth())
    for image, annotation in zip(data["images"], data["annotations"], strict=True):
        image["id"] = annotation["image_id"] = f"key-{image['id']}"
    write(tmp_path, {f"validation/images/{n}.jpg": jpg_of(1) for n in NAMES}
          | {f"validation/{folder}/{n}.png": png_of(IDS) for n in NAMES}
          | {f"validation/{folder}/panoptic_{year}.json": json.dumps(data).encode()})  # fmt: skip
    loaded = load_dataset(name, tmp_path)
    assert [s.image_id for s in loaded.samples] == ["key-139", "key-285", "key-632"]
    assert loaded.samples[2].read_target().areas.tolist() == [6, 4, 1]


@pytest.mark.parametrize("name", ["coco", "ade20k", "mapillary-vistas-v1.2", "mapillary-vistas-v2"])
def test_every_split_has_its_places(name: str) -> None:
    spec = load_yaml(shipped_configs("datasets")[name], DatasetSpec)
    assert set(spec.files) == set(spec.splits)


def test_a_split_without_places_is_a_usage_error(tmp_path: Path) -> None:
    text = (
        shipped_configs("datasets")["ade20k"].read_text().replace("splits: [train, val]", "splits: [train, val, test]")
    )
    (tmp_path / "mine.yaml").write_text(text.replace("default_split: val", "default_split: test"))
    with pytest.raises(UsageError, match="has no entry for split 'test'"):
        load_dataset(str(tmp_path / "mine.yaml"), tmp_path)
