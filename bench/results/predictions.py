"""Predictions as files: COCO panoptic PNG and JSON, and the semantic maps of models that have them.

annotations.jsonl      one line per image, appended during a run; annotations-0-of-4.jsonl for a shard
<image_id>.png         the name by `safe_file_stem`; id = R + 256 G + 65536 B
semantic/<image_id>.png  category ids, 8 or 16 bit; an id without a category is void
png_folder.json        of a run that keeps predictions by reference: the folder of its PNGs, which are not here
predictions.json       the COCO file, written last
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

from bench.errors import DataError
from bench.io import coco
from bench.io.archive import exists
from bench.io.config import read_record
from bench.io.files import RERUN_HINT
from bench.io.hashing import FileDigests, files_digest
from bench.io.images import read_labels
from bench.results.run import Run
from bench.types import Categories, Prediction, Readable

# Names that every file system stores as they are.
PLAIN = re.compile(r"[a-z0-9_-](?:[a-z0-9._-]{0,99}[a-z0-9_-])?")
RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?")  # by Windows, with any ending
STEM_BYTES = 120  # of the legible part of any other name

Keep = Literal["copy", "link", "reference", "none"]  # how a run keeps predictions that are COCO panoptic files already
PNG_FOLDER = "png_folder.json"


@dataclass(frozen=True)
class CocoFiles:
    """Files of one prediction in COCO panoptic format, unread. `semantic` is None without a semantic map."""

    png: Path
    semantic: Path | None
    panoptic: coco.PanopticFile


@dataclass(frozen=True)
class PngFolder:
    """Content of png_folder.json: the absolute path of the PNGs, and the digest of those that were scored."""

    folder: str
    digest: str


def safe_file_stem(image_id: str) -> str:
    """Return a file name for an image id, without ending; no two ids have one, on any file system.

    A plain id is its own name. Any other keeps its letters and digits, followed by `~` and a digest of the id.
    """
    # File systems differ in upper case (macOS, Windows), in the normal form of Unicode (macOS), in length and in
    # reserved names. Only the digest differs between any two ids on all of them.
    if PLAIN.fullmatch(image_id) and not RESERVED.fullmatch(image_id):
        return image_id
    kept = (c if c.isalnum() or c in "._- " else "_" for c in unicodedata.normalize("NFC", image_id))
    legible = (
        "".join(kept).encode(errors="replace")[:STEM_BYTES].decode(errors="ignore").lstrip(". -~").replace(".", "_")
    )
    return f"{legible or '_'}~{hashlib.sha256(image_id.encode(errors='surrogatepass')).hexdigest()[:12]}"


def _old_file_stem(image_id: str) -> str:
    """Return the name that runs of older versions gave to an image's files."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", image_id).lstrip(".") or "_"


class Predictions(Protocol):
    """Predictions made elsewhere, in any form, read on demand."""

    @property
    def name(self) -> str:
        """Name in results."""

    @property
    def image_ids(self) -> Collection[str]:
        """Ids of the images that have a prediction."""

    @property
    def form(self) -> str:
        """Form of the files, as the option --format names it."""

    def read(self, image_id: str, categories: Categories) -> Prediction:
        """Return the prediction of one image in `categories`. Raises DataError if it is missing or broken."""

    def coco_files(self, image_id: str, categories: Categories) -> CocoFiles | None:
        """Return the COCO panoptic files of an image that are its prediction as they are; None in any other form."""

    def digest(self, digests: FileDigests, image_ids: Collection[str] | None = None) -> str:
        """Return the sha256 of the files of `image_ids` (None: of all images) and of the options of the form."""


@dataclass(frozen=True)
class PredictionFolder:
    """Predictions in COCO panoptic format, read on demand. `folder` holds the PNGs."""

    name: str
    folder: Path
    file: coco.CocoPanoptic

    @property
    def form(self) -> str:
        return "coco"

    @property
    def image_ids(self) -> Collection[str]:
        return self.annotations.keys()

    @property
    def annotations(self) -> Mapping[str, Mapping[str, Any]]:
        return self.file.annotations

    def digest(self, digests: FileDigests, image_ids: Collection[str] | None = None) -> str:
        """Return the sha256 of the JSON and of the PNGs and semantic maps of `image_ids`, or of all images if None.

        A missing PNG raises no error here, only in `read`.
        """
        json_: list[tuple[str, Readable]] = [("json", self.file.path)]
        return files_digest(json_ + self._pngs(image_ids), digests)

    def png_digest(self, digests: FileDigests, image_ids: Collection[str] | None = None) -> str:
        """Return the sha256 of the PNGs and semantic maps of `image_ids`, or of all images if None."""
        return files_digest(self._pngs(image_ids), digests)

    def _pngs(self, image_ids: Collection[str] | None) -> list[tuple[str, Readable]]:
        named: list[tuple[str, Readable]] = []
        for image_id, annotation in self.annotations.items():
            if image_ids is None or image_id in image_ids:
                named.append((f"panoptic/{annotation['file_name']}", self.folder / annotation["file_name"]))
                named.append((f"semantic/{image_id}", self._semantic(image_id)))
        return named

    def coco_files(self, image_id: str, categories: Categories) -> CocoFiles | None:
        """Return the files of one image, unread; None if it has no prediction."""
        if image_id not in self.annotations:
            return None
        semantic = self._semantic(image_id) if self._has_semantic else None
        png = self.folder / self.annotations[image_id]["file_name"]
        return CocoFiles(
            png, semantic if semantic and semantic.is_file() else None, self._panoptic(image_id, categories)
        )

    @cached_property
    def _has_semantic(self) -> bool:
        # Once, since the search for the map of each image looks for several names.
        return (self.folder / "semantic").is_dir()

    def _panoptic(self, image_id: str, categories: Categories) -> coco.PanopticFile:
        annotation = self.annotations[image_id]
        listed = self.file.segments[image_id]
        return coco.PanopticFile(self.folder / annotation["file_name"], annotation, categories.index_of, listed=listed)

    def _semantic(self, image_id: str) -> Path:
        """Return the path of the semantic map of an image, which need not exist.

        Its stem is `safe_file_stem`, else the image id itself, else, in a run of an older version, that of the PNG.
        """
        names = [f"{stem}.png" for stem in (safe_file_stem(image_id), image_id, _old_file_stem(image_id))]
        png = self.annotations.get(image_id, {}).get("file_name")
        fits = (True, Path(image_id).name == image_id, png == names[2])
        fitting = dict.fromkeys(name for name, fit in zip(names, fits, strict=True) if fit)
        files = [self.folder / "semantic" / name for name in fitting]
        return next((file for file in files if exists(file)), files[0])

    def read(self, image_id: str, categories: Categories) -> Prediction:
        """Return the prediction of one image. Raises DataError if it is missing or broken."""
        if image_id not in self.annotations:
            raise DataError(f"{self.folder}: no prediction for image {image_id!r}; predict it or use --images")
        panoptic, semantic = self._panoptic(image_id, categories)(), self._semantic(image_id)
        return Prediction(panoptic, read_labels(semantic) if semantic.is_file() else None)


def open_predictions(path: Path) -> PredictionFolder:
    """Open a COCO panoptic JSON, or a folder with predictions.json or a single JSON of any name.

    The PNGs are in a folder of the JSON's name (as in COCO), beside the JSON, or in another folder there. Raises
    DataError if there is no such JSON.
    """
    file = _json_in(path) if path.is_dir() else path
    if not file.is_file():
        raise DataError(f"{file}: no predictions here; name a COCO panoptic JSON, or the folder `predictions` of a run")
    opened = coco.load_json(file)
    return PredictionFolder(file.parent.resolve().name, _png_folder(opened, file), opened)


def _json_in(folder: Path) -> Path:
    """Return predictions.json or the only JSON of a folder; predictions.json, too, if there is neither."""
    usual, found = folder / "predictions.json", sorted(folder.glob("*.json"))
    return found[0] if len(found) == 1 else usual


def _png_folder(opened: coco.CocoPanoptic, file: Path) -> Path:
    # COCO: panoptic_val2017.json and the folder panoptic_val2017 beside it.
    named = file.parent / file.stem
    others = (place for place in sorted(file.parent.iterdir()) if place.is_dir() and place.name != "semantic")
    places = [named, file.parent, *others]
    name = next((str(one["file_name"]) for one in opened.annotations.values()), "")
    usual = named if named.is_dir() else file.parent
    return next((place for place in places if name and (place / name).is_file()), usual)


def open_coco_predictions(file: Path, folder: Path, name: str) -> PredictionFolder:
    """Open a COCO panoptic prediction JSON with its PNGs in `folder`."""
    return PredictionFolder(name, folder, coco.load_json(file))


def saved_predictions(run: Run) -> PredictionFolder | None:
    """Return the predictions saved with a run, or None if they were not saved.

    Raises DataError if they are kept by reference, and the folder of their PNGs is gone or has changed.
    """
    file = run.folder / "predictions" / "predictions.json"
    if not file.is_file():
        return None
    if not (reference := file.with_name(PNG_FOLDER)).is_file():
        return open_predictions(file.parent)
    stored = read_record(reference, PngFolder, RERUN_HINT)
    made = open_coco_predictions(file, Path(stored.folder), file.parent.name)
    where = f"{made.folder}: the predictions of {run.folder} are kept by reference, and"
    if not made.folder.is_dir():
        raise DataError(f"{where} this folder is gone; put it back, or score a copy of it")
    if made.png_digest(FileDigests()) != stored.digest:
        raise DataError(f"{where} the PNGs there have changed since they were scored; put them back, or score them")
    return made
