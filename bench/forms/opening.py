"""Opening of predictions in any form, named by the options or detected from the files."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np

from bench.datasets.dataset import Dataset
from bench.datasets.label_map_files import map_to, same_categories, source_space
from bench.datasets.label_maps import LabelMap
from bench.datasets.label_spaces import LabelSpace, load_space
from bench.datasets.semantic_rgb import semantic_of
from bench.errors import DataError, UsageError
from bench.forms.arrays import is_rgb, read_map, values_of
from bench.forms.classes import Format, Options, numbers
from bench.forms.coco import RenumberedCoco, check_ids
from bench.forms.folder import Folder, Lists, folder_of, listed_segments, stem_of
from bench.forms.id_maps import Coding, IdMaps, Values, class_ids, is_void, split
from bench.forms.matching import matched
from bench.forms.semantic import VOID, SemanticMaps, has_colors, ids_of, semantic_only
from bench.io.config import shipped_configs
from bench.io.files import read_bytes
from bench.io.images import read_rgb
from bench.results.predictions import PredictionFolder, Predictions, open_predictions

SAMPLE = 8  # maps that are read to detect a form
FORMS: dict[str, str] = {
    "coco": "COCO panoptic: a JSON with `annotations` and its RGB PNGs",
    "cityscapes": "*_instanceIds.png of Cityscapes",
    "ids": "category * divisor + instance as PNG, npy or npz, or any ids with segments_info",
    "mmdetection": "category + divisor * instance as PNG, npy or npz",
    "semantic": "semantic labels or colours as PNG (mIoU only)",
}


@dataclass(frozen=True, eq=False)
class Opened:
    """Predictions of every image of `dataset`. `labels` maps their categories to those of the data set, None if equal.

    The truth of `dataset` is semantic labels if the predictions are. `options` open the same predictions again.
    """

    predictions: Predictions
    dataset: Dataset
    labels: LabelMap | None
    options: Options


def open_matched(made: Predictions | Path, dataset: Dataset, options: Options) -> Opened:
    """Open predictions in any form, and compare their images with those of a data set.

    Raises UsageError if several forms fit, DataError if none does, if a JSON shows other category ids, or if an image
    has no prediction.
    """
    labels = None if options.label_map is None else map_to(options.label_map, dataset.name, dataset.categories)
    categories = dataset.categories if labels is None else labels.source
    predictions = _opened(made, partial(_space, dataset, options), options) if isinstance(made, Path) else made
    if isinstance(predictions, PredictionFolder):
        if options.ids in (None, "dataset"):
            check_ids(predictions, categories)
        else:
            predictions = RenumberedCoco(predictions, options, options.ids)
    if isinstance(predictions, SemanticMaps):
        dataset = semantic_only(dataset)
    predictions = matched(predictions, dataset, options.match)
    return Opened(predictions, dataset, labels, replace(options, match="id"))


def _opened(path: Path, space_of: Callable[[], LabelSpace], options: Options) -> Predictions:
    opened = _coco(path, options)
    if opened is not None:
        return opened
    space, found = space_of(), folder_of(path)
    lists = listed_segments(found.jsons) if options.format in ("auto", "ids") else Lists({}, {}, ())
    form = options.format if options.format != "auto" else _form_of(found, lists, space, options)
    name, files = found.path.resolve().name, found.by_image(found.named(form) or found.maps)
    if form == "semantic":
        return SemanticMaps(name, options, files, space)
    if form == "ids" and lists.segments:
        return IdMaps(name, "ids", options, _named_by(lists, files, found), lists.segments, lists.jsons)
    return IdMaps(name, cast(Coding, form), options, files, {}, (), space.void)


def _coco(path: Path, options: Options) -> PredictionFolder | None:
    """Open COCO panoptic files: a JSON object with `annotations` and RGB PNGs. Return None for other files."""
    if options.format == "coco" or not path.exists():
        return open_predictions(path)
    if options.format != "auto":
        return None
    jsons = [path] if path.is_file() else sorted(path.glob("*.json"))
    jsons = [file for file in jsons if file.suffix == ".json" and _has_annotations(file)]
    usual = [file for file in jsons if file.name == "predictions.json"]
    if len(usual or jsons) > 1:
        raise UsageError(f"{path}: {' and '.join(file.name for file in jsons[:3])} list predictions; name one of them")
    if not jsons:
        return None
    opened = open_predictions(*(usual or jsons))
    name = next((str(one["file_name"]) for one in opened.annotations.values()), "")
    # A missing PNG is reported by the reader of COCO files, with its image.
    png = opened.folder / name
    return opened if not name or not png.is_file() or is_rgb(png) else None


def _has_annotations(file: Path) -> bool:
    try:
        content = read_bytes(file)
    except OSError as error:
        raise DataError(f"{file}: cannot be read ({error.strerror or error}); name another file") from None
    return content.removeprefix(codecs.BOM_UTF8).lstrip()[:1] == b"{" and b'"annotations"' in content


def _named_by(lists: Lists, files: Mapping[str, Path], found: Folder) -> dict[str, Path]:
    """Return image id → the map that a JSON names for it, or that has the name of the image."""
    named = {i: files.get(stem_of(lists.file_names.get(i, i))) for i in lists.segments}
    lost = [i for i, path in named.items() if path is None]
    if lost:
        raise DataError(
            f"{found.path}: the maps of {len(lost)} images of the JSON are not here, first that of image {lost[0]!r} "
            f"({lists.file_names.get(lost[0], 'named as the image')}); {found.summary()}"
        )
    return {image_id: path for image_id, path in named.items() if path is not None}


def _space(dataset: Dataset, options: Options) -> LabelSpace:
    """Return the label space of the predictions with its void labels: that of the label map or of the data set.

    If the data set lists its own categories, it is the shipped space with the same ones, or one without void labels.
    """
    if options.label_map is not None:
        return source_space(options.label_map)
    shipped = shipped_configs("labels")
    # A data set that lists its own classes has no label space of that name.
    own = [dataset.space] if dataset.space in shipped or dataset.space.endswith((".yaml", ".yml")) else []
    for name in own or [name for name in shipped if "-to-" not in name]:
        space = load_space(name)
        void = [label.name for label in space.void]
        space = space.with_void_as_classes([c.name for c in dataset.categories if c.name in void])
        if same_categories(space.evaluated, dataset.categories):
            return space
    return LabelSpace(dataset.categories.items)


def _form_of(found: Folder, lists: Lists, space: LabelSpace, options: Options) -> Format:
    """Return the only form that fits the names of the files, or else the values of some maps."""
    if not found.maps:
        raise DataError(f"{found.path}: no form of predictions is found here; {found.summary()}. {_known_forms()}")
    if lists.segments:
        return "ids"
    named: list[Format] = [form for form in ("cityscapes", "semantic") if found.named(form)]
    fit = named or _fitting(found.maps, space, options)
    left_out = "" if named else _left_out(found, lists)
    # Two forms give two scores, and a wrong guess would look like a bad model.
    if len(fit) > 1:
        raise UsageError(
            f"{found.path}: {' and '.join(f'{form} ({FORMS[form]})' for form in fit)} fit; "
            f"name one: {' or '.join(f'--format {form}' for form in fit)}"
        )
    if not fit:
        raise DataError(
            f"{found.path}: no form fits the maps here with --ids {options.ids or 'dataset'}; {found.summary()}. "
            f"{left_out and left_out + '. '}{_known_forms()}; give the category ids of a model by --ids, other classes "
            "by --label-map"
        )
    if left_out and fit == ["semantic"]:  # small numbers of segments pass for categories
        raise UsageError(f"{found.path}: {left_out}, or give --format semantic if the maps are {FORMS['semantic']}")
    return fit[0]


def _left_out(found: Folder, lists: Lists) -> str:
    """Return which JSON files may list segments and are not read, and what would be; "" if there are none.

    These are empty ones, and those that have ids of categories.
    """
    unread = [path for path in found.jsons if path not in lists.jsons]
    contents = {path.name: read_bytes(path) for path in unread}
    names = [
        n for n, text in contents.items() if len(text.strip()) < 3 or b'category_id"' in text or b'label_id"' in text
    ]
    what = '[{"image_id": …, "file_name": …, "segments_info": [{"id": …, "category_id": …}, …]}, …]'
    return f"no segments are read from {' and '.join(names[:3])}; write those of all images as {what}" if names else ""


def _known_forms() -> str:
    return "The forms (--format): " + "; ".join(f"{form}: {text}" for form, text in FORMS.items())


def _fitting(maps: Sequence[Path], space: LabelSpace, options: Options) -> list[Format]:
    """Return the forms that fit all of some maps, taken evenly."""
    # Evenly, since neighbouring files are often of one scene with few classes.
    some = maps[:: max(1, len(maps) // SAMPLE)][:SAMPLE]
    if all(has_colors(path, space) for path in some) and _are_colors(some, space):
        return ["semantic"]
    read = [read_map(path) for path in some]
    if any(segments is not None for _, segments in read):
        return ["ids"]
    values = [values_of(ids) for ids, _ in read]
    # Below the divisor no value can hold an instance.
    if not any(one.max(initial=0) >= options.divisor for one in values):
        fits = all(_is_semantic(path, one, space, options) for path, one in zip(some, values, strict=True))
        return ["semantic"] if fits else []
    codings: tuple[Coding, ...] = ("cityscapes", "ids", "mmdetection")
    return [coding for coding in codings if all(_is_coded(one, coding, space, options) for one in values)]


def _are_colors(paths: Sequence[Path], space: LabelSpace) -> bool:
    try:
        for path in paths:
            semantic_of(read_rgb(path), space)
    except DataError:
        return False
    return True


def _is_semantic(path: Path, values: Values, space: LabelSpace, options: Options) -> bool:
    known = numbers(space.evaluated, ids_of(path, options))
    return set(values.tolist()) <= {*known, *(options.void or VOID)}


def _is_coded(values: Values, coding: Coding, space: LabelSpace, options: Options) -> bool:
    """Return whether the values of a map are plausible: known categories, and numbers of instances as usual.

    Stuff has the instance 0 or none. mmdetection numbers the things of an image from 1 without gaps.
    """
    # Void labels do not count as known here: the small numbers of another form would pass for them.
    known = numbers(space.evaluated, class_ids(coding, options))
    values = values[~is_void(values, coding, options, known)]
    number, instance = split(values, coding, options.divisor)
    if not set(number.tolist()) <= set(known):
        return False
    index_of, isthing = space.evaluated.index_of, space.evaluated.isthing
    things = np.array([isthing[index_of[known[n]]] for n in number.tolist()], dtype=bool)
    if coding == "mmdetection" and sorted(instance[things].tolist()) != list(range(1, int(things.sum()) + 1)):
        return False
    return not (instance[~things] > (-1 if coding == "cityscapes" else 0)).any()
