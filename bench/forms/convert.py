"""Conversion of predictions to COCO panoptic files, with the names that the evaluation servers expect.

COCO's server takes a zip of `panoptic_<split>_<method>_results.json` and a folder of this name with the PNGs
(cocodataset.org/#upload, and mmdetection's guide to it). Cityscapes' takes COCO panoptic files with label ids and image
ids `<city>_<6 digits>_<6 digits>` (evalPanopticSemanticLabeling.py of cityscapesScripts, which has these names).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Any, Literal, NoReturn
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile

from bench.datasets.dataset import Dataset
from bench.datasets.label_maps import remap_prediction
from bench.datasets.label_spaces import load_space
from bench.errors import DataError, UsageError, first_duplicate
from bench.forms.opening import Opened
from bench.io.coco import PanopticFile
from bench.io.coco_json import file_name_fault, parse_json, read_category
from bench.io.coco_writer import write_panoptic
from bench.io.files import write_json
from bench.parallel import ordered_map
from bench.results.predictions import safe_file_stem
from bench.types import Categories, Panoptic, ProgressCallback, Sample

Target = Literal["coco", "coco-server", "cityscapes-server"]
SPACES = {"coco-server": "coco-133", "cityscapes-server": "cityscapes-19"}
SIDES = ("height", "width")
CITYSCAPES_ID = re.compile(r"[a-z-]+_\d{6}_\d{6}")


@dataclass(frozen=True)
class Converted:
    """Files of a conversion; `zip` only for a server."""

    json: Path
    pngs: Path
    zip: Path | None
    images: int
    segments: int

    def to_json(self) -> dict[str, Any]:
        return {
            "json": str(self.json), "pngs": str(self.pngs), "zip": None if self.zip is None else str(self.zip),
            "images": self.images, "segments": self.segments,
        }  # fmt: skip


def convert(
    opened: Opened,
    out: Path,
    to: Target = "coco",
    *,
    name: str = "method",
    split: str | None = None,
    workers: int = 2,
    on_image: ProgressCallback | None = None,
) -> Converted:
    """Write predictions as COCO panoptic files into the new folder `out`, in the order of the data set.

    Raises DataError if a prediction has another size than its image, UsageError if `out` is not empty, the predictions
    are semantic labels, or classes or image ids are not those of the server.
    """
    data, samples = opened.dataset, opened.dataset.samples
    if opened.predictions.form == "semantic":
        raise UsageError("semantic labels have no instances, which COCO panoptic files hold; score them for their mIoU")
    _check_server(to, data)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: is not empty; name a new folder")
    stem = {
        "coco": "predictions",
        "coco-server": f"panoptic_{split or data.split}_{safe_file_stem(name)}_results",
        "cityscapes-server": f"cityscapes_panoptic_{split or data.split}",
    }[to]
    below = "" if to == "coco" else stem
    listed = [{"id": c.id, "name": c.name, "isthing": int(c.isthing), "color": list(c.color)} for c in data.categories]
    # PNGs are named like those of the ground truth, which the servers expect.
    names, annotations = _png_names(samples), []
    out.parent.mkdir(parents=True, exist_ok=True)
    # Renamed at the end, so that a failure leaves nothing behind. Beside `out`, since a rename stays in its file
    # system.
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as scratch:
        part = Path(scratch, "part")
        (part / below).mkdir(parents=True)
        for annotation in ordered_map(partial(_convert, opened, part / below, names), samples, workers):
            annotations.append(annotation)
            if on_image:
                on_image(len(annotations), len(samples))
        write_json(part / f"{stem}.json", {"annotations": annotations, "categories": listed})
        if to != "coco":
            _pack(part, stem)
        part.replace(out)
    segments = sum(len(one["segments_info"]) for one in annotations)
    packed = None if to == "coco" else out / f"{stem}.zip"
    return Converted(out / f"{stem}.json", out / below, packed, len(samples), segments)


def _png_names(samples: Sequence[Sample]) -> dict[str, str]:
    """Return image id → name of its PNG: that in the truth's JSON, else the image id. Raise DataError if two agree."""
    names: dict[str, str] = {}
    for sample in samples:
        name = PurePosixPath(str(_listed(sample).get("file_name", ""))).stem or sample.image_id
        names[sample.image_id] = f"{safe_file_stem(name)}.png"
    if (twice := first_duplicate(names.values())) is not None:
        raise DataError(f"two images would be written as {twice}; give their files different names")
    return names


def _convert(opened: Opened, pngs: Path, names: Mapping[str, str], sample: Sample) -> dict[str, Any]:
    """Write the PNG of one image and return its annotation, with the image id as the truth's JSON has it."""
    predicted = opened.dataset.categories if opened.labels is None else opened.labels.source
    prediction = opened.predictions.read(sample.image_id, predicted)
    if opened.labels is not None:
        prediction = remap_prediction(prediction, opened.labels)
    size = _size(sample)
    if prediction.panoptic.size != size:
        raise DataError(
            f"image {sample.image_id!r}: the image is {size} and its prediction {prediction.panoptic.size} (H, W) px; "
            "predict at the size of the image"
        )
    image_id = _listed(sample).get("image_id", sample.image_id)
    return {"image_id": image_id, **write_panoptic(pngs / names[sample.image_id], prediction.panoptic)}


def _listed(sample: Sample) -> Mapping[str, Any]:
    """Return the annotation of the truth's JSON, {} if the truth is not a COCO file."""
    read = sample.read_target
    return read.annotation if isinstance(read, PanopticFile | ListedImage) else {}


def _size(sample: Sample) -> tuple[int, int]:
    if isinstance(sample.read_target, ListedImage):
        return sample.read_target.size
    height, width = sample.read_target().size if sample.read_semantic is None else sample.read_semantic().shape
    return height, width


def _check_server(to: Target, data: Dataset) -> None:
    """Raise UsageError if categories or image ids are not those of the server."""
    if to == "coco":
        return
    known = {(c.id, c.name) for c in load_space(SPACES[to]).categories}
    strange = [c for c in data.categories if (c.id, c.name) not in known]
    if strange:
        raise UsageError(
            f"--to {to}: category {strange[0].id} {strange[0].name!r} of {data.name} is not in {SPACES[to]}; name a "
            "data set or JSON with the classes of the server"
        )
    numbers = {sample.image_id: _listed(sample).get("image_id") for sample in data.samples}
    for image_id, number in numbers.items():
        if not (isinstance(number, int) if to == "coco-server" else CITYSCAPES_ID.fullmatch(image_id)):
            expected = "a number" if to == "coco-server" else "<city>_<6 digits>_<6 digits>"
            raise UsageError(f"--to {to}: the image id {image_id!r} is not {expected}, as the server has it")


def _pack(folder: Path, stem: str) -> None:
    with ZipFile(folder / f"{stem}.zip", "w", ZIP_DEFLATED) as archive:
        archive.write(folder / f"{stem}.json", f"{stem}.json")
        for png in sorted((folder / stem).iterdir()):
            # PNGs are compressed already.
            archive.write(png, f"{stem}/{png.name}", compress_type=ZIP_STORED)


@dataclass(frozen=True, eq=False)
class ListedImage:
    """Image of a test set, of which only the size is known. Calling it raises DataError, since it has no truth."""

    annotation: Mapping[str, Any]
    size: tuple[int, int]

    def __call__(self) -> Panoptic:
        raise DataError(f"image {self.annotation['image_id']!r}: has no ground truth in the JSON")


def open_image_list(file: Path) -> Dataset | None:
    """Open a COCO JSON of images without annotations, such as image_info_test-dev2017.json; None if it has some.

    Raises DataError if its categories have no `isthing`: COCO's list of test images has those of instances.
    """
    content = parse_json(file)
    if not isinstance(content, dict) or content.get("annotations") or not isinstance(content.get("images"), list):
        return None
    try:
        categories = Categories(tuple(map(read_category, content.get("categories") or [])))
    except DataError as error:
        raise DataError(f"{file}: {error}; take the `categories` of the panoptic ground truth") from None
    return Dataset(
        file.stem, "test", categories, tuple(_sample(file, entry) for entry in content["images"]), "detectron2"
    )


def _sample(file: Path, entry: Any) -> Sample:
    known = isinstance(entry, dict) and all(type(entry.get(side)) is int and entry[side] > 0 for side in SIDES)
    if not known or not isinstance(entry.get("id"), int | str):
        raise DataError(f"{file}: an entry of `images` has no id, height and width: {entry!r:.80}")
    if fault := file_name_fault(entry.get("file_name")):
        raise DataError(f"{file}, image {entry['id']!r}: {fault}")
    target = ListedImage({"image_id": entry["id"], "file_name": entry["file_name"]}, (entry["height"], entry["width"]))
    return Sample(str(entry["id"]), "", _no_image, target, image_file=Path(entry["file_name"]))


def _no_image() -> NoReturn:
    raise DataError("only a list of images was given, no picture")
