"""Ways to spoil what a user has; each changes files in a Place and returns the arguments of the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from fakes import image_file, label_file, write_model
from PIL import Image
from place import Place

AT = 3  # the image that is spoilt; the three before it are scored
Spoil = Callable[[Place], list[object]]


def run(*more: object) -> Spoil:
    """Nothing spoilt: a run with more arguments (a later --model or --dataset replaces an earlier one)."""
    return lambda place: place.arguments(*more)


def corrupt_image(place: Place) -> list[object]:
    image_file(place.data, place.images[AT]).write_bytes(b"\x89PNG\r\n\x1a\n, and then nothing of the sort")
    return place.arguments()


def torn_image(place: Place) -> list[object]:
    file = image_file(place.data, place.images[AT])
    file.write_bytes(file.read_bytes()[:1500])
    return place.arguments()


def torn_label(place: Place) -> list[object]:
    file = label_file(place.data, place.images[AT])
    file.write_bytes(file.read_bytes()[:120])
    return place.arguments()


def unknown_label(place: Place) -> list[object]:
    _change_label(place, lambda ids: np.where(ids == 23, 77, ids))
    return place.arguments()


def colour_label(place: Place) -> list[object]:
    _change_label(place, lambda ids: np.stack([ids, ids, ids], axis=-1).astype(np.uint8))
    return place.arguments()


def small_label(place: Place) -> list[object]:
    _change_label(place, lambda ids: ids[::2])
    return place.arguments()


def _change_label(place: Place, change: Callable[[Any], Any]) -> None:
    file = label_file(place.data, place.images[AT])
    with Image.open(file) as image:
        ids = np.asarray(image)
    Image.fromarray(change(ids).astype(change(ids).dtype)).save(file)


def missing_label(place: Place) -> list[object]:
    label_file(place.data, place.images[AT]).unlink()
    return place.arguments()


def no_data_root(place: Place) -> list[object]:
    return ["run", "--model", place.model, "--dataset", "cityscapes", "--out", place.out]


def empty_data_root(place: Place) -> list[object]:
    (place.folder / "elsewhere").mkdir()
    return place.arguments("--data-root", place.folder / "elsewhere")


def model_text(old: str, new: str) -> Spoil:
    """The user's YAML with a piece replaced."""

    def spoil(place: Place) -> list[object]:
        text = place.model.read_text(encoding="utf-8")
        assert old in text
        place.model.write_text(text.replace(old, new), encoding="utf-8")
        return place.arguments()

    return spoil


def empty_yaml(place: Place) -> list[object]:
    place.model.write_text("# nothing yet\n", encoding="utf-8")
    return place.arguments()


def adapter_text(text: str | None) -> Spoil:
    """The user's adapter file with other contents, or gone."""

    def spoil(place: Place) -> list[object]:
        file = place.model.with_name("mine.py")
        file.unlink() if text is None else file.write_text(text, encoding="utf-8")
        return place.arguments()

    return spoil


def least_model(place: Place) -> list[object]:
    write_model(place.folder, "Least")
    return place.arguments()


def checkpoint(*files: str) -> Spoil:
    """A folder of empty files as the checkpoint of the shipped model."""

    def spoil(place: Place) -> list[object]:
        folder = place.folder / "checkpoint"
        folder.mkdir()
        for name in files:
            (folder / name).write_text("{}", encoding="utf-8")
        return place.arguments("--model", "mask2former", "--checkpoint", folder)

    return spoil


def images_file(text: str | None) -> Spoil:
    def spoil(place: Place) -> list[object]:
        file = place.folder / "wanted.txt"
        if text is not None:
            file.write_text(text, encoding="utf-8")
        return place.arguments("--images", file)

    return spoil


def out_is_a_file(place: Place) -> list[object]:
    place.out.write_text("in the way", encoding="utf-8")
    return place.arguments()


def score(change: Callable[[dict[str, Any], Path], None], *more: object) -> Spoil:
    """The predictions of a finished run, changed, and scored with `--out`."""

    def spoil(place: Place) -> list[object]:
        folder = place.folder / "predictions"
        file = folder / "predictions.json"
        content = json.loads(file.read_text(encoding="utf-8"))
        change(content, folder)
        file.write_text(json.dumps(content), encoding="utf-8")
        return ["score", "--dataset", "cityscapes", "--data-root", place.data, "--predictions", folder,
                "--out", place.out, "--name", "mine", *more]  # fmt: skip

    return spoil


def first_segment(**changes: Any) -> Spoil:
    """Predictions whose spoilt image has another first segment."""
    return score(lambda content, _: content["annotations"][AT]["segments_info"][0].update(changes))


def _add_segment(content: dict[str, Any], _: Path) -> None:
    content["annotations"][AT]["segments_info"].append({"id": 4000, "category_id": 7, "area": 1})


def _drop_segment(content: dict[str, Any], _: Path) -> None:
    content["annotations"][AT]["segments_info"].pop()


def _repeat_segment(content: dict[str, Any], _: Path) -> None:
    infos = content["annotations"][AT]["segments_info"]
    infos.append(infos[0])


def _repeat_image(content: dict[str, Any], _: Path) -> None:
    content["annotations"].append(content["annotations"][AT])


def _drop_image(content: dict[str, Any], _: Path) -> None:
    del content["annotations"][AT]


def _drop_png(content: dict[str, Any], folder: Path) -> None:
    (folder / content["annotations"][AT]["file_name"]).unlink()


def _leave_folder(content: dict[str, Any], _: Path) -> None:
    content["annotations"][AT]["file_name"] = "../../secret.png"


Change = Callable[[dict[str, Any], Path], None]


def _change_png(change: Callable[[Image.Image], Image.Image], below: str = "") -> Change:
    def spoil(content: dict[str, Any], folder: Path) -> None:
        file = folder / below / content["annotations"][AT]["file_name"]
        with Image.open(file) as image:
            change(image).save(file)

    return spoil


extra_segment, lost_segment = score(_add_segment), score(_drop_segment)
repeated_segment, repeated_image = score(_repeat_segment), score(_repeat_image)
lost_image, lost_png, foreign_png = score(_drop_image), score(_drop_png), score(_leave_folder)
large_png = score(_change_png(lambda image: image.resize((128, 64), Image.Resampling.NEAREST)))
grey_png = score(_change_png(lambda image: image.convert("L")))
small_semantic = score(_change_png(lambda image: image.crop((0, 0, 64, 31)), "semantic"))
good_predictions = score(lambda content, folder: None)


def broken_json(place: Place) -> list[object]:
    arguments = good_predictions(place)
    file = place.folder / "predictions" / "predictions.json"
    file.write_text(file.read_text(encoding="utf-8")[:-40], encoding="utf-8")
    return arguments


def no_predictions(place: Place) -> list[object]:
    return ["score", "--dataset", "cityscapes", "--data-root", place.data, "--predictions", place.folder / "none"]


def half_a_pair(place: Place) -> list[object]:
    return ["score", "--gt", place.folder / "gt.json"]
