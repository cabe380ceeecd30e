"""Maps whose values are segments: instanceIds of Cityscapes, category and instance in one number, or listed segments.

cityscapes   things category * 1000 + instance, stuff (and groups of things) the bare category
ids          category * divisor + instance, or any ids with segments_info (detectron2, transformers)
mmdetection  category + divisor * instance, void the number of classes
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from bench.datasets.label_spaces import VoidLabel
from bench.errors import DataError, UsageError, error_context
from bench.forms.arrays import IdArray, Segments, has_palette, is_rgb, read_map, values_of
from bench.forms.classes import Ids, Options, category_of, numbers, other_ids
from bench.io.canonical_json import digest
from bench.io.hashing import FileDigests, files_digest
from bench.io.images import read_rgb
from bench.io.segments_info import ID_LIMIT, SCORE_LIMIT, integer
from bench.results.predictions import CocoFiles
from bench.types import Categories, Panoptic, Prediction, Readable, SegmentInfo

Coding = Literal["cityscapes", "ids", "mmdetection"]
Values = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class IdMaps:
    """Predictions as maps of ids, one file an image. `listed` are segments_info of JSON files, by image id.

    `void_labels` are the void labels of the label space, which maps of the form `cityscapes` may contain.
    """

    name: str
    form: Coding
    options: Options
    files: Mapping[str, Path]
    listed: Mapping[str, Segments]
    jsons: tuple[Path, ...] = ()
    void_labels: Collection[VoidLabel] = ()

    @property
    def image_ids(self) -> Collection[str]:
        return self.files.keys()

    def read(self, image_id: str, categories: Categories) -> Prediction:
        path = self.files[image_id]
        ids, segments = read_map(path)
        segments = self.listed.get(image_id) if segments is None else segments
        with error_context(f"{path}, image {image_id!r}"):
            if segments is not None:
                _check_palette(path, ids, segments)
                return Prediction(_from_segments(ids, segments, categories, self.options))
            panoptic = self._decoded(ids, categories)
            if self.form == "mmdetection" and is_rgb(path) and not self.options.void:
                _check_zero(panoptic)
            return Prediction(panoptic)

    def coco_files(self, image_id: str, categories: Categories) -> CocoFiles | None:
        return None

    def digest(self, digests: FileDigests, image_ids: Collection[str] | None = None) -> str:
        named: list[tuple[str, Readable]] = [(path.name, path) for path in self.jsons]
        named += [(i, path) for i, path in self.files.items() if image_ids is None or i in image_ids]
        return digest([self.form, self.options.to_json(), files_digest(named, digests)])

    def _decoded(self, ids: IdArray, categories: Categories) -> Panoptic:
        values = values_of(ids)
        known = numbers(categories, class_ids(self.form, self.options))
        void = is_void(values, self.form, self.options, known, self.void_labels)
        number, instance = split(values, self.form, self.options.divisor)
        unknown = [i for i, n in enumerate(number.tolist()) if n not in known and not void[i]]
        if unknown:
            raise DataError(_unknown(values[unknown], number[unknown], categories, self.form, self.options))
        infos = {}
        for value, n, k, empty in zip(values.tolist(), number.tolist(), instance.tolist(), void.tolist(), strict=True):
            if not empty:
                isthing = categories.items[categories.index_of[known[n]]].isthing
                if self.form == "cityscapes" and k >= 0 and not isthing:
                    remedy = other_ids([n], categories, class_ids(self.form, self.options))
                    raise DataError(
                        f"value {value} has an instance number, but class {n} is stuff; {remedy}, --format if it is "
                        "another form"
                    )
                infos[value] = SegmentInfo(known[n], iscrowd=isthing and self.form == "cityscapes" and k < 0)
        return _panoptic(ids, infos, values[void].tolist())


def _check_zero(panoptic: Panoptic) -> None:
    """Raise DataError for value 0 in a PNG of mmdetection, which writes void as 0: it may be class 0, too."""
    if any(info.source_id == 0 for info in panoptic.segments_info):
        raise DataError(
            "value 0 is void in the PNGs that mmdetection writes, and class 0 in its maps; give --void 0 if it is "
            "void, or write the maps as npy"
        )


def _check_palette(path: Path, ids: IdArray, segments: Segments) -> None:
    """Raise DataError if the colours of a PNG's palette are the listed ids: an optimiser made it of an RGB PNG."""
    if has_palette(path):
        colors = read_rgb(path).astype(np.int64) @ np.array([1, 1 << 8, 1 << 16])
        listed = {0, *(entry.get("id") for entry in segments)}
        if set(values_of(colors).tolist()) <= listed and (colors != ids).any():
            raise DataError(
                "the colours of its palette are ids of segments_info, as PNG optimisers leave them; write it as RGB: "
                'Image.open(file).convert("RGB").save(file)'
            )


def class_ids(coding: Coding, options: Options) -> Ids:
    """Return the ids of the options, or the usual ones of a coding: mmdetection's are contiguous."""
    return options.ids or ("contiguous" if coding == "mmdetection" else "dataset")


def split(values: Values, coding: Coding, divisor: int) -> tuple[Values, Values]:
    """Return the number of the category and of the instance of each value; instance -1 is none."""
    if coding == "mmdetection":
        return values % divisor, values // divisor
    if coding == "ids":
        return values // divisor, values % divisor
    bare = values < divisor
    return np.where(bare, values, values // divisor), np.where(bare, -1, values % divisor)


def is_void(
    values: Values, coding: Coding, options: Options, known: Mapping[int, int], void_labels: Collection[VoidLabel] = ()
) -> NDArray[np.bool_]:
    """Return which values are void: those of the options, or else the usual ones of a coding.

    These are the number of classes for mmdetection; void labels and 255 for Cityscapes, with an instance only those of
    things; and otherwise -1, and 0 where no category has the number 0.
    """
    number, instance = split(values, coding, options.divisor)
    # detectron2's COCOPanopticEvaluator reserves -1 for void in maps without segments_info.
    usual = (-1,) if 0 in known else (-1, 0)
    void: NDArray[np.bool_] = np.isin(values, options.void or usual)
    if coding == "mmdetection":
        void = np.isin(values, options.void) | (number == len(known))
    elif coding == "cityscapes" and not options.void:
        # Void labels have label ids alone: as train ids, 0 is road and 10 sky.
        labels = void_labels if class_ids(coding, options) == "dataset" else ()
        bare, numbered = [label.id for label in labels], [label.id for label in labels if label.isthing]
        void |= np.where(instance < 0, np.isin(number, [*bare, 255]), np.isin(number, numbered))
    return void


def _unknown(values: Values, number: Values, categories: Categories, coding: Coding, options: Options) -> str:
    ids = class_ids(coding, options)
    return (
        f"value {values[0]} is category {number[0]} (form {coding}), which is not among the categories by --ids {ids} "
        f"({len(values)} such values); {other_ids(number.tolist(), categories, ids)}, --void {values[0]} if it "
        "means void, --format if it is another form"
    )


def _from_segments(ids: IdArray, segments: Segments, categories: Categories, options: Options) -> Panoptic:
    infos: dict[int, SegmentInfo] = {}
    for entry in segments:
        number, score = integer(entry, "id"), entry.get("score")
        if number in infos:
            raise DataError(f"segments_info lists id {number} twice; ids are unique in an image")
        # Such entries come from a model and not from a COCO file: its ids are positions, and guessing costs the score.
        if options.ids is None and ("label_id" in entry or "isthing" in entry):
            raise UsageError(
                f"segments_info has `{'label_id' if 'label_id' in entry else 'isthing'}`: the category ids are those "
                "of a model, not of a data set; name them by --ids contiguous (Mask2Former, MaskFormer, "
                "transformers), separated (Panoptic FPN of detectron2), train-ids or dataset"
            )
        if score is not None and not (isinstance(score, int | float) and abs(score) <= SCORE_LIMIT):
            raise DataError(
                f"segments_info has the score {score!r:.80}, not a number up to {SCORE_LIMIT:.0e}; leave it out"
            )
        infos[number] = SegmentInfo(category_of(entry, categories, options.ids or "dataset"), score=score)
    unlisted = [value for value in values_of(ids).tolist() if value not in infos]
    void = [value for value in unlisted if value in (options.void or (-1, 0))]
    if others := [value for value in unlisted if value not in void]:
        raise DataError(
            f"ids {others[:5]} cover {int(np.isin(ids, others).sum())} pixels but are not in segments_info; list them, "
            f"or give {' '.join(f'--void {value}' for value in [*options.void, *others[:1]])} if that is void"
        )
    return _panoptic(ids, infos, void)


def _panoptic(ids: IdArray, infos: Mapping[int, SegmentInfo], void: Collection[int]) -> Panoptic:
    """Return the Panoptic of a map. The values in `void` are merged into one, which no segment has."""
    unused = min((0, *infos, int(ids.min(initial=0)))) - 1
    one = next((value for value in void if abs(value) < ID_LIMIT), unused)
    if set(void) - {one}:
        ids = np.where(np.isin(ids, list(void)), one, ids.astype(np.int64))
    # The kernel of from_ids takes 32 bits; larger ids go another way.
    fits = ids.size and ids.min() > -ID_LIMIT and ids.max() < ID_LIMIT
    return Panoptic.from_ids(ids.astype(np.int32) if fits else ids, infos, void=one)
