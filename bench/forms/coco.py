"""COCO panoptic files whose category ids are not those of the data set, and the check that they are."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import nullcontext
from dataclasses import dataclass

from bench.errors import DataError, error_context
from bench.forms.classes import Ids, Options, category_of, check_isthing
from bench.io.canonical_json import digest
from bench.io.coco import PanopticFile
from bench.io.hashing import FileDigests
from bench.results.predictions import CocoFiles, PredictionFolder
from bench.types import Categories, Panoptic, Prediction


@dataclass(frozen=True, eq=False)
class RenumberedCoco:
    """COCO panoptic predictions with contiguous, train or separated category ids."""

    folder: PredictionFolder
    options: Options
    ids: Ids

    @property
    def name(self) -> str:
        return self.folder.name

    @property
    def form(self) -> str:
        return "coco"

    @property
    def image_ids(self) -> Collection[str]:
        return self.folder.image_ids

    def read(self, image_id: str, categories: Categories) -> Prediction:
        annotation = self.folder.annotations[image_id]
        png = self.folder.folder / annotation["file_name"]
        listed = self.folder.file.segments[image_id]
        source = PanopticFile(png, annotation, {info.category_id for info in listed.values()}, listed=listed)()
        own = {entry["id"]: entry for entry in annotation["segments_info"]}
        with error_context(f"{png}, image {image_id!r}"):
            infos = tuple(
                info._replace(category_id=category_of(own[info.source_id], categories, self.ids))
                for info in source.segments_info
            )
        return Prediction(Panoptic(source.id_map, infos))

    def coco_files(self, image_id: str, categories: Categories) -> CocoFiles | None:
        return None

    def digest(self, digests: FileDigests, image_ids: Collection[str] | None = None) -> str:
        return digest(["coco", self.options.to_json(), self.folder.digest(digests, image_ids)])


def check_ids(folder: PredictionFolder, categories: Categories) -> None:
    """Raise DataError if the JSON shows that its category ids are not those of `categories`.

    It shows that by a class of the same name with another id, or by an `isthing` that contradicts the category.
    """
    # Contiguous ids are mostly valid ids of other classes: scored as they are, they would give a low but plausible PQ.
    own = {category.name: category.id for category in categories}
    for category in folder.file.listed or ():
        if own.get(category.name, category.id) != category.id:
            raise DataError(
                f"{folder.file.path}: its category {category.id} is {category.name!r}, which has the id "
                f"{own[category.name]} in the data set; name its ids by --ids contiguous or train-ids"
            )
    for image_id, annotation in folder.annotations.items():
        marked = [entry for entry in annotation["segments_info"] if "isthing" in entry]
        with error_context(f"{folder.file.path}, image {image_id!r}") if marked else nullcontext():
            for entry in marked:
                check_isthing(entry, categories)
