"""Options for reading predictions, and the category numbers that frameworks write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.errors import DataError
from bench.io.segments_info import integer
from bench.types import Categories

Format = Literal["auto", "coco", "cityscapes", "ids", "mmdetection", "semantic"]
Ids = Literal["dataset", "contiguous", "train-ids", "separated"]
Match = Literal["id", "stem"]
DIVISOR = 1000
FORMS_VERSION = 2  # raised with every change of what is read from a form other than COCO panoptic

# detectron2: `standard` metadata (MaskFormer, Mask2Former) count all categories in the order of the data set;
# `separated` ones (Panoptic FPN on COCO) count things from 0 and stuff from 1, stuff 0 being all things together.
# mmdetection counts the classes of its `metainfo`, which are in the order of the data set, too.
IDS_MEAN = {
    "dataset": "the ids of the data set",
    "contiguous": "0, 1, 2, … in the order of the data set's categories",
    "train-ids": "0, 1, 2, … in the order of the data set's categories, 255 void",
    "separated": "things from 0, stuff from 1, as Panoptic FPN of detectron2 has for COCO",
}


@dataclass(frozen=True)
class Options:
    """Options for reading predictions. None is the usual value of a form; `void` are pixel values that mean void.

    `label_map` is the name or file of a map from the label space of the predictions to that of the data set. `match` is
    whether image ids ("id") or file names ("stem") are compared.
    """

    format: Format = "auto"
    ids: Ids | None = None
    divisor: int = DIVISOR
    void: tuple[int, ...] = ()
    label_map: str | None = None
    match: Match = "id"

    def to_json(self) -> dict[str, Any]:
        """Return what the pixels of a form depend on; label maps and matched names are recorded where they are used."""
        return {"version": FORMS_VERSION, "ids": self.ids, "divisor": self.divisor, "void": sorted(self.void)}


AUTO = Options()


def numbers(categories: Categories, ids: Ids) -> dict[int, int]:
    """Return number in the files → category id, for numbers that need no `isthing`."""
    if ids == "dataset":
        return {category.id: category.id for category in categories}
    return {position: category.id for position, category in enumerate(categories)}


def category_of(entry: Mapping[str, Any], categories: Categories, ids: Ids) -> int:
    """Return the category id of an entry of segments_info: `category_id`, or `label_id` of transformers.

    Raises DataError if the number stands for no category, or `isthing` contradicts the category.
    """
    number = integer(entry, "category_id" if "category_id" in entry else "label_id")
    isthing = None if entry.get("isthing") is None else integer(entry, "isthing")
    if ids == "separated":
        if isthing is None:
            raise DataError("no `isthing`, which separated ids need; give other ids by --ids")
        kind = [category.id for category in categories if category.isthing == bool(isthing)]
        found = dict(enumerate(kind, start=0 if isthing else 1))
    else:
        found = numbers(categories, ids)
    if number not in found:
        raise DataError(f"category_id {number} is not among {IDS_MEAN[ids]}; {other_ids([number], categories, ids)}")
    category = categories.items[categories.index_of[found[number]]]
    if isthing is not None and bool(isthing) != category.isthing:
        raise DataError(
            f"category_id {number} is {'thing' if isthing else 'stuff'} there, but {category.name!r} by --ids {ids}; "
            f"{other_ids([number], categories, ids)}"
        )
    return category.id


def other_ids(values: list[int], categories: Categories, ids: Ids) -> str:
    """Return the remedy for numbers that are not among those of `ids`: other ids that have them, or a label map."""
    same: tuple[Ids, ...] = ("contiguous", "train-ids")
    others: tuple[Ids, ...] = ("dataset", "separated") if ids in same else (*same, "separated")
    meant = set(values) - {255}
    fit = [name for name in others if name != ids and meant and meant <= set(numbers(categories, name))]
    choice = " or ".join(f"--ids {name}" for name in fit)
    return (f"try {choice}, or " if fit else "") + "give --label-map FILE if they are other classes"


def check_isthing(entry: Mapping[str, Any], categories: Categories) -> None:
    """Raise DataError if `isthing` of an entry contradicts its category: the ids are then not the data set's."""
    number, isthing = entry.get("category_id"), entry.get("isthing")
    position = categories.index_of.get(number) if isinstance(number, int) else None
    if position is not None and isthing is not None and bool(isthing) != categories.items[position].isthing:
        category_of(entry, categories, "dataset")
