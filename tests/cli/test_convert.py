"""Conversion to COCO panoptic files and to what the servers take; the reference reads them as they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import dumps
import numpy as np
import pytest
from dumps import Drawn
from place import Answer, Call, Place

from bench.datasets.label_spaces import load_space
from bench.io.coco_writer import write_panoptic

CITYSCAPES, COCO = load_space("cityscapes-19").evaluated, load_space("coco-133").evaluated


@pytest.fixture
def made(place: Place, drawn: dict[str, Drawn]) -> Path:
    folder = place.folder / "made"
    folder.mkdir()
    dumps.detectron2_npz(folder, drawn, CITYSCAPES)
    return folder


def convert(call: Call, place: Place, made: Path, *more: object) -> Answer:
    return call("convert", made, place.folder / "out", "--dataset", "cityscapes", "--data-root", place.data,
                "--ids", "contiguous", *more)  # fmt: skip


def test_a_converted_prediction_has_the_same_score(place: Place, call: Call, made: Path) -> None:
    answer = convert(call, place, made, "--json")
    assert answer.code == 0, answer.err
    told = json.loads(answer.out)
    assert (told["images"], told["zip"]) == (6, None)
    score = ("score", "--dataset", "cityscapes", "--data-root", place.data, "--json", "--predictions")
    before = call(*score, made, "--ids", "contiguous")
    assert json.loads(call(*score, place.folder / "out").out) == json.loads(before.out)
    again = convert(call, place, made)
    assert (again.code, again.out) == (2, "")
    assert "is not empty; name a new folder" in again.err


def test_the_zip_for_cityscapes_is_read_by_its_own_script(place: Place, call: Call, made: Path, tmp_path: Path) -> None:
    script = pytest.importorskip("cityscapesscripts.evaluation.evalPanopticSemanticLabeling")
    from bench.datasets.registry import load_dataset

    answer = convert(call, place, made, "--to", "cityscapes-server", "--json")
    assert answer.code == 0, answer.err
    with ZipFile(json.loads(answer.out)["zip"]) as archive:
        archive.extractall(tmp_path)
    predicted = json.loads((tmp_path / "cityscapes_panoptic_val.json").read_text())["annotations"]
    (tmp_path / "truth").mkdir()
    pairs = [
        ({**write_panoptic(tmp_path / f"truth/{s.image_id}.png", s.read_target()), "image_id": s.image_id}, one)
        for s, one in zip(load_dataset("cityscapes", place.data).samples, predicted, strict=True)
    ]
    assert [truth["image_id"] for truth, _ in pairs] == [one["image_id"] for _, one in pairs]
    known = {c.id: {"id": c.id, "name": c.name, "isthing": int(c.isthing)} for c in CITYSCAPES}
    stat = script.pq_compute_single_core(
        0, pairs, str(tmp_path / "truth"), str(tmp_path / "cityscapes_panoptic_val"), known
    )
    expected = stat.pq_average(known, isthing=None)[0]["pq"]
    found = call("score", "--dataset", "cityscapes", "--data-root", place.data, "--json", "--ids", "contiguous",
                 "--predictions", made)  # fmt: skip
    assert json.loads(found.out[found.out.index("{\n") :])["PQ"]["all"]["PQ"] == pytest.approx(expected, abs=1e-12)


def image_list(place: Place, **more: Any) -> Path:
    """COCO's list of a test set: numbers as ids, padded names, no annotations."""
    images = [{"id": 139 + n, "file_name": f"{139 + n:012d}.jpg", "height": 4, "width": 6} for n in range(2)]
    categories = [{"id": c.id, "name": c.name, "isthing": int(c.isthing)} for c in COCO]
    file = place.folder / "image_info.json"
    file.write_text(json.dumps({"images": images, "categories": categories, **more}), encoding="utf-8")
    return file


def test_the_zip_for_coco_has_its_names_and_numbers(place: Place, call: Call) -> None:
    """Maps of mmdetection (a bicycle and two persons on grass), from a list of images without annotations."""
    maps = place.folder / "maps"
    maps.mkdir()
    position = COCO.index_of[193]
    ids = np.array([[1000, 1000, 2000, 3001, 133, 133], *[[position] * 6] * 3])
    for name in ("000000000139", "000000000140"):
        np.save(maps / f"{name}.npy", ids)
    given = ["convert", maps, place.folder / "out", "--gt", image_list(place), "--format", "mmdetection"]
    server = ["--to", "coco-server", "--name", "mine", "--split", "test-dev2017"]
    refused = call(*given, *server)
    assert refused.code == 3
    assert "--match stem" in refused.err
    answer = call(*given, *server, "--match", "stem", "--json")
    assert answer.code == 0, answer.err
    stem = "panoptic_test-dev2017_mine_results"
    with ZipFile(place.folder / "out" / f"{stem}.zip") as archive:
        assert archive.namelist() == [f"{stem}.json", f"{stem}/000000000139.png", f"{stem}/000000000140.png"]
        annotations = json.loads(archive.read(f"{stem}.json"))["annotations"]
    assert [(one["image_id"], one["file_name"]) for one in annotations] == [
        (139, "000000000139.png"), (140, "000000000140.png")
    ]  # fmt: skip
    assert sorted(s["category_id"] for s in annotations[0]["segments_info"]) == [1, 1, 2, 193]
    assert sorted(s["area"] for s in annotations[0]["segments_info"]) == [1, 1, 2, 18]


def test_what_a_server_would_refuse_is_told(place: Place, call: Call, made: Path) -> None:
    wrong = convert(call, place, made, "--to", "coco-server")
    assert (wrong.code, wrong.out) == (2, "")
    assert "category 7 'road' of cityscapes is not in coco-133" in wrong.err
    np.savez(sorted(made.iterdir())[0], np.full((8, 8), 7000))
    size = convert(call, place, made)
    assert size.code == 3
    assert "the image is (32, 64) and its prediction (8, 8)" in size.err
    assert sorted(path.name for path in place.folder.iterdir() if "out" in path.name) == []
    file = image_list(place, categories=[{"id": 1, "name": "person"}])
    kinds = call("convert", made, place.folder / "new", "--gt", file)
    assert kinds.code == 3
    assert "no `isthing`; take the `categories` of the panoptic ground truth" in kinds.err


def test_semantic_labels_are_no_panoptic_files(place: Place, call: Call, drawn: dict[str, Drawn]) -> None:
    folder = place.folder / "labels"
    folder.mkdir()
    dumps.labels(folder, drawn, CITYSCAPES)
    answer = call("convert", folder, place.folder / "out", "--dataset", "cityscapes", "--data-root", place.data)
    assert (answer.code, answer.out) == (2, "")
    assert "no instances" in answer.err
