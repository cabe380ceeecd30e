"""One prediction in every form that frameworks dump has one score; what is not plain is an error with its remedy."""

from __future__ import annotations

import codecs
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dumps
import numpy as np
import pytest
from dumps import Drawn
from PIL import Image
from place import Answer, Call, Place

from bench.datasets.label_spaces import load_space
from bench.types import Categories

SPACE = load_space("cityscapes-19").evaluated
Dump = Callable[[Path, dict[str, Drawn], Categories], None]


def dump(form: Dump, place: Place, drawn: dict[str, Drawn]) -> Path:
    folder = place.folder / form.__name__
    folder.mkdir()
    form(folder, drawn, SPACE)
    return folder


def score(call: Call, place: Place, folder: Path, *more: object) -> Answer:
    return call("score", "--dataset", "cityscapes", "--data-root", place.data, "--predictions", folder, "--json", *more)


def quality(answer: Answer) -> list[float]:
    assert answer.code == 0, answer.err
    found = json.loads(answer.out)
    return [found["PQ"][group][name] for group in ("all", "things", "stuff") for name in ("PQ", "SQ", "RQ")]


def by_panopticapi(place: Place, folder: Path) -> list[float]:
    """PQ, SQ and RQ of all, things and stuff of the COCO form, by the reference."""
    evaluation = pytest.importorskip("panopticapi.evaluation")
    from bench.datasets.registry import load_dataset
    from bench.io.coco_writer import write_panoptic

    annotations = {a["image_id"]: a for a in json.loads((folder / "whatever.json").read_text())["annotations"]}
    truth = place.folder / "truth"
    truth.mkdir()
    pairs = []
    for sample in load_dataset("cityscapes", place.data).samples:
        annotation = write_panoptic(truth / f"{sample.image_id}.png", sample.read_target())
        pairs.append(({**annotation, "image_id": sample.image_id}, annotations[sample.image_id]))
    known = {c.id: {"id": c.id, "name": c.name, "isthing": int(c.isthing)} for c in SPACE}
    stat = evaluation.pq_compute_single_core(0, pairs, str(truth), str(folder), known)
    rows = [stat.pq_average(known, isthing)[0] for isthing in (None, True, False)]
    return [row[name] for row in rows for name in ("pq", "sq", "rq")]


FORMS: list[tuple[Dump, tuple[object, ...], str]] = [
    (dumps.detectron2_npz, ("--ids", "contiguous"), "ids"),
    (dumps.detectron2_pair, ("--ids", "contiguous"), "ids"),
    (dumps.detectron2_png, ("--ids", "contiguous"), "ids"),
    (dumps.transformers, ("--ids", "contiguous"), "ids"),
    (dumps.mmdetection, ("--format", "mmdetection"), "mmdetection"),
    (dumps.mmdetection, (), "mmdetection"),
    (dumps.divided, ("--format", "ids"), "ids"),
    (dumps.divided, (), "ids"),
    (dumps.instance_ids, (), "cityscapes"),
]


def test_every_form_has_the_score_of_the_reference(
    place: Place, call: Call, drawn: dict[str, Drawn], capsys: pytest.CaptureFixture[str]
) -> None:
    folder = dump(dumps.coco, place, drawn)
    expected = by_panopticapi(place, folder)
    assert 0.3 < expected[0] < 0.95
    capsys.readouterr()
    assert quality(score(call, place, folder)) == pytest.approx(expected, abs=1e-12)
    for form, options, named in FORMS:
        if not (place.folder / form.__name__).is_dir():
            dump(form, place, drawn)
        answer = score(call, place, place.folder / form.__name__, *options)
        assert quality(answer) == pytest.approx(expected, abs=1e-12), form.__name__
        assert f"read as {named}: " in answer.err


@pytest.mark.parametrize("form", [dumps.labels, dumps.train_ids, dumps.colors])
def test_semantic_labels_have_the_miou_of_the_panoptic_map(
    form: Dump, place: Place, call: Call, drawn: dict[str, Drawn]
) -> None:
    expected = json.loads(score(call, place, dump(dumps.coco, place, drawn)).out)
    answer = score(call, place, dump(form, place, drawn))
    found = json.loads(answer.out)
    assert found["mIoU"]["semantic"] == pytest.approx(expected["mIoU"]["panoptic"], abs=1e-12)
    assert found["PQ"]["all"]["PQ"] is None
    assert "there is mIoU, but no PQ" in answer.err


def test_a_label_map_leads_from_the_classes_of_the_predictions(
    place: Place, call: Call, drawn: dict[str, Drawn]
) -> None:
    """The data set of the reduced classes: the forms agree there, too."""
    folders = [dump(form, place, drawn) for form in (dumps.coco, dumps.instance_ids)]
    scores = []
    for folder in folders:
        arguments = ["score", "--dataset", "cityscapes-ika", "--data-root", place.data, "--predictions", folder]
        scores.append(quality(call(*arguments, "--label-map", "cityscapes-to-ika", "--json")))
        assert call(*arguments).code == 3  # its classes are not those of the data set
    assert scores[0] == scores[1]
    assert scores[0][0] > 0.3


def test_a_kept_score_is_of_the_files_and_the_options(place: Place, call: Call, drawn: dict[str, Drawn]) -> None:
    folder = dump(dumps.mmdetection, place, drawn)
    runs = []
    for options in ((), ("--format", "mmdetection"), ("--void", "18")):
        answer = score(call, place, folder, "--format", "mmdetection", *options, "--out", place.out)
        assert answer.code == 0, answer.err
        runs.append(sorted(place.out.glob("*/*/*")))
    assert [len(found) for found in runs] == [1, 1, 2]  # bicycles are void in the last
    (run,) = runs[0]
    assert quality(call("score", "--dataset", "cityscapes", "--data-root", place.data, "--json",
                        "--predictions", run / "predictions")) == quality(score(call, place, folder))  # fmt: skip
    assert call("verify", run).code == 0
    file = sorted(folder.iterdir())[0]
    np.save(file, np.load(file) * 0 + 1)
    assert score(call, place, folder, "--format", "mmdetection", "--out", place.out).code == 0
    assert len(list(place.out.glob("*/*/*"))) == 3


def test_ids_of_a_model_are_named(place: Place, call: Call, drawn: dict[str, Drawn]) -> None:
    for form in (dumps.detectron2_npz, dumps.detectron2_png, dumps.transformers):
        answer = score(call, place, dump(form, place, drawn))
        assert (answer.code, answer.out) == (2, ""), (form, answer.err)
        assert "--ids contiguous" in answer.err


def test_separated_ids_of_detectron2(place: Place, call: Call, drawn: dict[str, Drawn]) -> None:
    """Panoptic FPN counts things from 0 and stuff from 1; contiguous they would be other classes."""
    expected = quality(score(call, place, dump(dumps.coco, place, drawn)))
    folder = dump(dumps.detectron2_png, place, drawn)
    kinds = {flag: [c.id for c in SPACE if c.isthing == flag] for flag in (True, False)}
    listed = json.loads((folder / "predictions.json").read_text())
    for segment in (segment for entry in listed for segment in entry["segments_info"]):
        category = SPACE.ids[segment["category_id"]]
        segment["category_id"] = kinds[segment["isthing"]].index(category) + (not segment["isthing"])
    (folder / "predictions.json").write_text(json.dumps(listed))
    assert quality(score(call, place, folder, "--ids", "separated")) == expected
    answer = score(call, place, folder, "--ids", "contiguous")
    assert answer.code == 3
    assert "--ids" in answer.err


@pytest.mark.parametrize(
    ("change", "options", "code", "says"),
    [
        (lambda ids: np.where(ids == 19, 19, ids % 1000 + 1000), (), 3, ("no form fits", "mmdetection", "6 .npy")),
        (lambda ids: ids, ("--format", "ids"), 3, ("--ids dataset", "not among the categories", "--ids contiguous")),
        (lambda ids: ids, ("--format", "cityscapes"), 3, ("is category", "form cityscapes")),
        (lambda ids: ids, ("--format", "semantic", "--ids", "contiguous"), 3, ("not among the categories", "--void")),
        (lambda ids: ids, ("--format", "coco"), 3, ("predictions.json", "no predictions here")),
        (lambda ids: ids + 0.5, (), 3, ("float64", "integers were expected", ".astype(np.int32)")),
        (lambda ids: np.where(ids == 19, 255, ids), ("--format", "mmdetection"), 3, ("value 255", "--void 255")),
        (lambda ids: np.zeros((2, 2, 2), int), (), 3, ("(2, 2, 2)", "integers were expected")),
        (lambda ids: ids[:, :-1], ("--format", "mmdetection"), 3, ("ground truth is (32, 64)", "(31, 64)")),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_told(
    place: Place, call: Call, drawn: dict[str, Drawn], change: Any, options: tuple[object, ...], code: int,
    says: tuple[str, ...],
) -> None:  # fmt: skip
    folder = dump(dumps.mmdetection, place, drawn)
    for file in folder.iterdir():
        np.save(file, change(np.load(file)))
    answer = score(call, place, folder, *options)
    assert (answer.code, answer.out) == (code, ""), answer.err
    assert not [piece for piece in says if piece not in answer.err], answer.err


def test_two_forms_that_fit_are_both_named(place: Place, call: Call) -> None:
    """By their values, which are riders in either form; and by their names."""
    folder = place.folder / "both"
    folder.mkdir()
    for image_id in place.images:
        np.save(folder / f"{image_id}.npy", np.full((32, 64), 12001))
    answer = score(call, place, folder, "--ids", "contiguous")
    assert (answer.code, answer.out) == (2, "")
    assert "--format cityscapes or --format ids" in answer.err
    for image_id in place.images:
        Image.fromarray(np.full((32, 64), 7, np.uint8)).save(folder / f"{image_id}_labelIds.png")
        Image.fromarray(np.full((32, 64), 7, np.uint16)).save(folder / f"{image_id}_instanceIds.png")
    answer = score(call, place, folder)
    assert (answer.code, answer.out) == (2, "")
    assert "--format cityscapes or --format semantic" in answer.err


def test_a_byte_order_mark_does_not_change_the_form(place: Place, call: Call, drawn: dict[str, Drawn]) -> None:
    folder = dump(dumps.coco, place, drawn)
    expected = score(call, place, folder)
    (folder / "whatever.json").write_bytes(codecs.BOM_UTF8 + (folder / "whatever.json").read_bytes())
    answer = score(call, place, folder)
    assert quality(answer) == quality(expected)
    assert "read as" not in answer.err


def test_a_folder_of_something_else_is_described(place: Place, call: Call) -> None:
    folder = place.folder / "other"
    folder.mkdir()
    for number in range(4):
        (folder / f"results{number}.pkl").write_bytes(b"x")
    answer = score(call, place, folder)
    assert (answer.code, answer.out) == (3, "")
    for piece in ("4 .pkl (results0.pkl, results1.pkl, results2.pkl, …)", "coco: ", "cityscapes: ", "mmdetection: "):
        assert piece in answer.err


def test_files_that_are_left_out_are_named(place: Place, call: Call, drawn: dict[str, Drawn]) -> None:
    folder = dump(dumps.detectron2_png, place, drawn)
    (listed,) = folder.glob("*.json")
    rows = json.loads(listed.read_text())
    expected = quality(score(call, place, folder, "--ids", "contiguous"))
    for png in folder.glob("*.png"):
        png.rename(png.with_suffix(".PNG"))
    assert quality(score(call, place, folder, "--ids", "contiguous")) == expected
    listed.write_text(json.dumps({str(row["image_id"]): row["segments_info"] for row in rows}))
    (folder / "notes.gz").write_bytes(b"x")
    instances = '[{"image_id": 1, "category_id": 1, "bbox": [0, 0, 1, 1], "score": 0.5}]'  # coco_instances_results.json
    for text in (instances, "[]", listed.read_text()):
        listed.write_text(text)
        answer = score(call, place, folder, "--ids", "contiguous")  # the numbers of the segments pass for train ids
        assert (answer.code, answer.out) == (2, "")
        for piece in (f"no segments are read from {listed.name}", '"file_name": …', "--format semantic"):
            assert piece in answer.err
    answer = score(call, place, folder)
    assert (answer.code, answer.out) == (3, "")
    for piece in (f"no segments are read from {listed.name}", ".gz files are not read"):
        assert piece in answer.err


def test_names_are_matched_in_either_form_of_unicode(place: Place, call: Call, drawn: dict[str, Drawn]) -> None:
    """macOS writes an accent as a character of its own."""
    folder, truth = dump(dumps.coco, place, drawn), place.folder / "truth"
    shutil.copytree(folder, truth)
    rename(folder, lambda image_id: image_id.replace("a", "a\u0308"))
    rename(truth, lambda image_id: image_id.replace("a", "\u00e4"))
    content = json.loads((truth / "whatever.json").read_text())
    content["categories"] = [{"id": c.id, "name": c.name, "isthing": int(c.isthing)} for c in SPACE]
    (truth / "whatever.json").write_text(json.dumps(content))
    arguments = ("score", "--gt", truth / "whatever.json", "--gt-dir", truth, "--predictions", folder, "--json")
    answer = call(*arguments)
    assert answer.code == 3
    assert "--match stem" in answer.err
    assert set(quality(call(*arguments, "--match", "stem"))) == {1.0}


def rename(folder: Path, change: Callable[[str], str]) -> None:
    """Give the images of whatever.json and its PNGs other ids and names."""
    content = json.loads((folder / "whatever.json").read_text())
    for annotation in content["annotations"]:
        annotation["image_id"] = change(annotation["image_id"])
    (folder / "whatever.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        (lambda image_id: f"val/{image_id}_leftImg8bit.png", "--match stem"),
        (lambda image_id: image_id.replace("_000019", ""), "belong to other images or have other names"),
        (lambda image_id: image_id if image_id.startswith("bonn") else "x" + image_id, "--images"),
    ],
)
def test_ids_are_compared_before_anything_is_scored(
    place: Place, call: Call, drawn: dict[str, Drawn], change: Callable[[str], str], remedy: str
) -> None:
    folder = dump(dumps.coco, place, drawn)
    expected = quality(score(call, place, folder))
    rename(folder, change)
    answer = score(call, place, folder, "--out", place.out)
    assert (answer.code, answer.out) == (3, "")
    assert not place.out.exists()
    for piece in (remedy, "Nothing was scored", repr(place.images[0]), repr(change(place.images[0]))):
        assert piece in answer.err
    assert "kept" not in answer.err
    again = score(call, place, folder, "--match", "stem")
    if remedy == "--match stem":
        assert quality(again) == expected
    else:
        assert again.code == 3
        assert "not one-to-one" in again.err


def test_padded_numbers_are_matched_by_stem(place: Place, call: Call, drawn: dict[str, Drawn]) -> None:
    """A truth with numbers as ids, and files with the names of COCO."""
    folder, truth = dump(dumps.coco, place, drawn), place.folder / "truth"
    shutil.copytree(folder, truth)
    content = json.loads((truth / "whatever.json").read_text())
    content["categories"] = [{"id": c.id, "name": c.name, "isthing": int(c.isthing)} for c in SPACE]
    maps = place.folder / "maps"
    maps.mkdir()
    for number, annotation in enumerate(content["annotations"], 139):
        file = folder / annotation["file_name"]
        divided = drawn[annotation["image_id"]]
        ids = np.where(divided.category < 0, 0, divided.category * 1000 + divided.instance)
        np.savez_compressed(maps / f"{number:012d}.npz", ids)
        assert file.exists()
        annotation["image_id"] = number
    (truth / "whatever.json").write_text(json.dumps(content))
    given = ["score", "--gt", truth / "whatever.json", "--gt-dir", truth, "--predictions", maps, "--json"]
    refused = call(*given)
    assert refused.code == 3
    assert "'139', '140', '141', …" in refused.err
    assert "'000000000139'" in refused.err
    assert quality(call(*given, "--match", "stem"))[0] == 1.0


def test_a_truth_without_images_is_told(place: Place, call: Call, drawn: dict[str, Drawn]) -> None:
    folder = dump(dumps.coco, place, drawn)
    file = place.folder / "gt.json"
    file.write_text(json.dumps({"annotations": [], "categories": [{"id": 7, "name": "road", "isthing": 0}]}))
    (place.folder / "gt").mkdir()
    answer = call("score", "--gt", file, "--predictions", folder)
    assert (answer.code, answer.out) == (3, "")
    assert "no image" in answer.err
