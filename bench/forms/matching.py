"""Agreement of the image ids of a data set and of predictions, before anything is scored."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from bench.datasets.dataset import Dataset
from bench.errors import DataError
from bench.forms.classes import Match
from bench.forms.folder import stem_of
from bench.io.canonical_json import digest
from bench.io.hashing import FileDigests
from bench.results.predictions import CocoFiles, Predictions
from bench.types import Categories, Prediction, Sample


@dataclass(frozen=True, eq=False)
class Renamed:
    """Predictions under the image ids of a data set. `own` is image id → id in the predictions."""

    predictions: Predictions
    own: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.predictions.name

    @property
    def form(self) -> str:
        return self.predictions.form

    @property
    def image_ids(self) -> Collection[str]:
        return self.own.keys()

    def read(self, image_id: str, categories: Categories) -> Prediction:
        return self.predictions.read(self.own[image_id], categories)

    def coco_files(self, image_id: str, categories: Categories) -> CocoFiles | None:
        return self.predictions.coco_files(self.own[image_id], categories)

    def digest(self, digests: FileDigests, image_ids: Collection[str] | None = None) -> str:
        # The pairs are a part of the digest: other pairs of the same files have another score.
        own = {i: self.own[i] for i in (self.own if image_ids is None else image_ids)}
        return digest([own, self.predictions.digest(digests, own.values())])


def matched(predictions: Predictions, dataset: Dataset, match: Match) -> Predictions:
    """Return the predictions under the image ids of the data set. Raise DataError unless each image has one.

    Predictions of other images are left out. With `match="stem"` file names are compared: of the image or of its
    labels, without folders, endings, suffixes that data sets add, and leading zeros. They must be one-to-one.
    """
    wanted = [sample.image_id for sample in dataset.samples]
    if not wanted:
        raise DataError(f"{dataset.name}: the ground truth has no image, so there is nothing to score")
    if match == "stem":
        own = _by_stem(predictions, dataset.samples)
        if own is None:
            raise DataError(
                _unlike(predictions, wanted, "their file names are not one-to-one with those of the images")
            )
        return Renamed(predictions, own)
    if not set(wanted) <= set(predictions.image_ids):
        raise DataError(_unlike(predictions, wanted, _remedy(predictions, dataset.samples)))
    return predictions


def _by_stem(predictions: Predictions, samples: Sequence[Sample]) -> dict[str, str] | None:
    """Return image id → id in the predictions, by the first kind of name that is one-to-one; None if there is none."""
    made = _unique(predictions.image_ids, [_key(image_id) for image_id in predictions.image_ids])
    for name_of in NAMES:
        keys = [_key(name_of(sample)) for sample in samples]
        # Only one-to-one: a wrong pair would be scored without an error and look like a bad model.
        if made is not None and len(set(keys)) == len(keys) and set(keys) <= set(made):
            return {sample.image_id: made[key] for sample, key in zip(samples, keys, strict=True)}
    return None


def _unique(image_ids: Collection[str], keys: Sequence[str]) -> dict[str, str] | None:
    found = dict(zip(keys, image_ids, strict=True))
    return found if len(found) == len(keys) else None


def _key(name: str) -> str:
    stem = stem_of(unicodedata.normalize("NFC", name))  # macOS decomposes accents in the names of files
    # COCO pads ids in file names to twelve digits, and the JSON has them as numbers.
    return stem.lstrip("0") or "0" if stem.isdecimal() else stem


NAMES: tuple[Callable[[Sample], str], ...] = (
    lambda sample: sample.image_id,
    lambda sample: "" if sample.image_file is None else str(sample.image_file),
    lambda sample: str(sample.target_files[-1]) if sample.target_files else "",
)


def _remedy(predictions: Predictions, samples: Sequence[Sample]) -> str:
    if _by_stem(predictions, samples) is not None:
        return "their file names agree; match them by --match stem"
    both = sum(sample.image_id in predictions.image_ids for sample in samples)
    if both:
        return "predict the others, or list the images to score by --images"
    return "they belong to other images or have other names; give the predictions the ids of the images"


def _unlike(predictions: Predictions, wanted: Sequence[str], remedy: str) -> str:
    made, known = predictions.image_ids, set(wanted)
    missing = [image_id for image_id in wanted if image_id not in made]
    extra = [image_id for image_id in made if image_id not in known]
    others = f", {len(extra)} predictions belong to no image ({_three(extra)})" if extra else ""
    return (
        f"{predictions.name}: {len(missing)} of {len(wanted)} images have no prediction ({_three(missing)}){others}; "
        f"{remedy}. Nothing was scored"
    )


def _three(image_ids: Sequence[str]) -> str:
    return ", ".join(map(repr, image_ids[:3])) + (", …" if len(image_ids) > 3 else "")
