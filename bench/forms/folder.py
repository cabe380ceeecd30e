"""The files of a folder of predictions, by kind, and the image ids that their names give."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from bench.errors import DataError
from bench.forms.arrays import Segments
from bench.io.coco_json import parse_json

MAPS = (".png", ".npy", ".npz")
NAMED = {
    "cityscapes": ("_instanceIds",),
    "semantic": ("_labelIds", "_labelTrainIds", "_labelColor", "_color"),
}  # endings in cityscapesScripts and in ika's data
SUFFIX = re.compile(
    r"(_gtFine|_gtCoarse)?_leftImg8bit|(_leftImg8bit)?(_gtFine|_gtCoarse)?"
    r"(_instanceIds|_instanceTrainIds|_labelIds|_labelTrainIds|_labelColor|_color|_panoptic)"
    r"|_(panoptic_)?(seg|pred|prediction|mask)|\.(?i:png|jpe?g|npy|npz|json)"
)


def stem_of(name: str) -> str:
    """Return the name of an image without folders, ending and the suffixes that data sets add.

    >>> stem_of("val/aachen_000000_000019_gtFine_instanceIds.png"), stem_of("000000000139.png")
    ('aachen_000000_000019', '000000000139')
    """
    stem = PurePosixPath(name.replace("\\", "/")).name
    # Repeatedly, since a name has several suffixes: _gtFine, _instanceIds, .png.
    while match := re.search(f"(?:{SUFFIX.pattern})$", stem):
        # A name that consists of a suffix alone stays.
        if match.start() == 0:
            break
        stem = stem[: match.start()]
    return stem


@dataclass(frozen=True)
class Folder:
    """Files of predictions below a folder, sorted, hidden ones left out. Links are followed."""

    path: Path
    files: tuple[Path, ...]

    @property
    def jsons(self) -> list[Path]:
        return [path for path in self.files if path.suffix.lower() == ".json"]

    @property
    def maps(self) -> list[Path]:
        return [path for path in self.files if path.suffix.lower() in MAPS]

    def named(self, form: str) -> list[Path]:
        """Return the PNGs whose names end as those of a form do."""
        return [path for path in self.maps if path.stem.endswith(NAMED.get(form, ())) and path.suffix.lower() == ".png"]

    def by_image(self, paths: Sequence[Path]) -> dict[str, Path]:
        """Return image id → file. Raise DataError if two files are of one image, or there is none."""
        found: dict[str, Path] = {}
        for path in paths:
            image_id = stem_of(path.name)
            if image_id in found:
                raise DataError(
                    f"{self.path}: {found[image_id].relative_to(self.path)} and {path.relative_to(self.path)} are both "
                    f"of image {image_id!r}; keep one, rename one if they are of two images (folders do not count), or "
                    "name the form of those that are meant by --format"
                )
            found[image_id] = path
        if not found:
            raise DataError(f"{self.path}: there are no predictions of this form here; {self.summary()}")
        return found

    def summary(self) -> str:
        """Return a text on the files of the folder: counts by ending, and three names."""
        kinds = Counter(path.suffix or "no ending" for path in self.files)
        counts = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(6))
        names = ", ".join(str(path.relative_to(self.path)) for path in self.files[:3])
        others = [kind for kind in kinds if kind.lower() not in (*MAPS, ".json")]
        unread = f"; {' and '.join(others[:3])} files are not read" if others else ""
        more = ", …" if len(self.files) > 3 else ""
        return f"found: {counts} ({names}{more}){unread}" if self.files else "found: no file"


def folder_of(path: Path) -> Folder:
    """List a folder; of the folder of a JSON, all files but the other JSON files."""
    if path.is_dir():
        return Folder(path, tuple(sorted(_below(path))))
    if not path.is_file():
        raise DataError(f"{path}: there are no predictions here; name a folder or a JSON")
    others = (other for other in sorted(_below(path.parent)) if other.suffix != ".json")
    return Folder(path.parent, (path, *others) if path.suffix == ".json" else (path,))


def _below(folder: Path) -> Iterator[Path]:
    entered: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        # A link to a folder above would make the walk endless.
        if real in entered:
            folders.clear()
            continue
        entered.add(real)
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place, name) for name in names if not name.startswith("."))


@dataclass(frozen=True)
class Lists:
    """segments_info from JSON files: by image id, with the file of each map where the JSON names it."""

    segments: Mapping[str, Segments]
    file_names: Mapping[str, str]
    jsons: tuple[Path, ...]


def listed_segments(paths: Sequence[Path]) -> Lists:
    """Read segments_info of one JSON for all images, or of a JSON beside each map.

    The former has `annotations` as in COCO, or is the list of its entries (detectron2); the latter is the list of
    segments, or has them as `segments_info` (transformers). Other JSON files are left out.
    """
    segments: dict[str, Segments] = {}
    names: dict[str, str] = {}
    read = []
    for path in paths:
        entries = _entries(parse_json(path), stem_of(path.name))
        for image_id, name, found in entries:
            if image_id in segments:
                raise DataError(f"{path}: image {image_id!r} has segments_info twice; keep one")
            segments[image_id] = found
            if name:
                names[image_id] = name
        if entries:
            read.append(path)
    return Lists(segments, names, tuple(read))


def _entries(content: Any, stem: str) -> list[tuple[str, str, Segments]]:
    """Return (image id, file name or "", segments) of the content of a JSON; [] if it has no segments."""
    if isinstance(content, dict) and _is_list(content.get("segments_info")):
        return [(stem, "", content["segments_info"])]
    rows = content.get("annotations") if isinstance(content, dict) else content
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        return []
    if all(_is_list(row.get("segments_info")) and ("image_id" in row or "file_name" in row) for row in rows):
        return [
            (str(row.get("image_id", stem_of(str(row.get("file_name"))))), str(row.get("file_name", "")), infos)
            for row in rows
            if (infos := row["segments_info"]) is not None
        ]
    known = all("id" in row and ("category_id" in row or "label_id" in row) for row in rows)
    return [(stem, "", rows)] if known and "image_id" not in rows[0] else []


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)
