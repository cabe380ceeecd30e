"""COCO panoptic format: a PNG of segment ids (id = R + 256 G + 65536 B) and a JSON with segments_info.

As in panopticapi, id 0 is void unless segments_info lists it. Contradictory data that panopticapi accepts (repeated
ids, ground truth whose JSON and PNG differ) raise DataError.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.io import files
from bench.io.archive import File, check_inside
from bench.io.images import read_rgb
from bench.types import NO_COLOR, Categories, Category, Panoptic, SegmentInfo

PNG_RGB8 = b"\x08\x02"  # bit depth and colour type, bytes 24 and 25 of a PNG
ID_LIMIT = 1 << 24
NAME_LIMIT, PATH_LIMIT = 255, 1024  # bytes of a file's name, and of its path below the folder
IMAGE_ID_LIMIT = 200  # characters; files are named by it
NUMBER_LIMIT = 1 << 53  # below it a number means the same to everybody
SCORE_LIMIT = 1e9

PLAIN_NAME = re.compile(r"[\w-][\w.-]{0,99}", re.ASCII)  # leads nowhere

Infos = Mapping[int, SegmentInfo]


@dataclass(frozen=True, eq=False)
class CocoPanoptic:
    """Validated COCO panoptic JSON.

    `annotations`, `images` and `segments` are by image id, in file order; `segments` holds segments_info by segment id.
    """

    path: File
    annotations: Mapping[str, Mapping[str, Any]]
    images: Mapping[str, Mapping[str, Any]]
    listed: Categories | None
    segments: Mapping[str, Infos]

    @property
    def categories(self) -> Categories:
        """Categories of the file. Raises DataError if it lists none, as files of predictions may."""
        if self.listed is None:
            raise DataError(f"{self.path}: no `categories`; give the ground truth's JSON, which lists them")
        return self.listed


def load_json(path: File) -> CocoPanoptic:
    """Read and validate a COCO panoptic JSON of ground truth or predictions. Opens no PNG."""
    data = parse_json(path)
    if not isinstance(data, dict) or not isinstance(data.get("annotations"), list):
        raise DataError(f"{path}: no list `annotations`; this is not a COCO panoptic JSON")
    listed = data.get("categories")
    categories = None if listed is None else _categories(path, listed)
    annotations = _by_image(path, data["annotations"], "image_id", "annotations")
    known = None if categories is None else categories.index_of
    segments = {image_id: _checked(one, f"{path}, image {image_id!r}", known) for image_id, one in annotations.items()}
    images = _by_image(path, data.get("images") or [], "id", "images")
    return CocoPanoptic(path, annotations, images, categories, segments)


def _checked(annotation: Mapping[str, Any], where: str, known: Collection[int] | None) -> Infos:
    check_file_name(annotation, where)
    infos = _infos(annotation, where)
    if known is not None:
        _check_known(infos, known, where)
    return infos


@dataclass(frozen=True, eq=False)
class PanopticFile:
    """PNG and annotation of one image; calling it reads the Panoptic.

    `known` are the allowed category ids, `listed` the segments if `load_json` has validated them. `is_truth` rejects a
    listed id 0: panopticapi accepts it in a prediction, but counts it as segment and as void in ground truth.
    """

    png: File
    annotation: Mapping[str, Any]
    known: Collection[int]
    is_truth: bool = False
    listed: Infos | None = None

    def __call__(self) -> Panoptic:
        infos = self.infos()
        try:
            return Panoptic.from_ids(read_ids(self.png), infos)
        except DataError as error:
            if str(self.png) in str(error):
                raise
            raise DataError(f"{self.where}: {error}; PNG and JSON do not belong together") from None

    @property
    def where(self) -> str:
        return f"{self.png}, image {self.annotation.get('image_id', self.png.stem)!r}"

    def infos(self) -> Infos:
        """Return segments_info by segment id. Raise DataError if an entry or the path of the PNG is invalid."""
        infos = _infos(self.annotation, self.where) if self.listed is None else self.listed
        _check_known(infos, self.known, self.where)
        if self.is_truth and 0 in infos:
            raise DataError(f"{self.where}: the ground truth lists segment id 0, which means void; renumber it")
        check_inside(self.png, self.annotation.get("file_name"))
        return infos


def read_panoptic(
    png: File, annotation: Mapping[str, Any], known: Collection[int], *, is_truth: bool = False
) -> Panoptic:
    """Read the PNG and annotation of one image as a Panoptic."""
    return PanopticFile(png, annotation, known, is_truth)()


def parse_json(path: File) -> Any:
    """Read a JSON file within the limits of `bench.io.files`. Raise DataError if it cannot be read."""
    try:
        return files.loads_strict(files.read_bytes(path) if isinstance(path, Path) else path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); name another file") from None
    except ValueError as error:  # syntax, or bytes that are no UTF-8
        raise DataError(f"{path}: not valid JSON ({error}); write or download it again") from None


def _by_image(path: File, entries: Any, key: str, name: str) -> dict[str, Mapping[str, Any]]:
    """Return the entries by image id (a string), in file order. Raise DataError for missing and repeated ids."""
    found: dict[str, Mapping[str, Any]] = {}
    for position, entry in enumerate(entries if isinstance(entries, list) else [None]):
        if not isinstance(entry, dict) or not isinstance(entry.get(key), (str, int)):
            raise DataError(f"{path}: {name}[{position}] has no `{key}` (a string or an integer)")
        image_id = str(entry[key])
        if len(image_id) > IMAGE_ID_LIMIT:
            raise DataError(f"{path}: {name}[{position}] has a `{key}` of {len(image_id)} characters; shorten it")
        if image_id in found:
            raise DataError(f"{path}: image {image_id!r} is in `{name}` twice; keep one")
        found[image_id] = entry
    return found


def check_file_name(annotation: Mapping[str, Any], where: str) -> None:
    """Raise DataError if `file_name` (of an annotation or of `images`) is missing, too long or leaves its folder."""
    name = annotation.get("file_name")
    if isinstance(name, str) and PLAIN_NAME.fullmatch(name):
        return
    if not isinstance(name, str) or not name:
        raise DataError(f"{where}: no `file_name` of a PNG")
    longest = max((len(part.encode(errors="surrogatepass")) for part in PurePosixPath(name).parts), default=0)
    if longest > NAME_LIMIT or len(name.encode(errors="surrogatepass")) > PATH_LIMIT:
        raise DataError(f"{where}: file_name {name[:40]!r}… is longer than a file system takes")
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(name).is_absolute() or kind(name).drive or ".." in kind(name).parts or "\0" in name:
            raise DataError(f"{where}: file_name {name!r} leaves the folder")


def _categories(path: File, listed: Any) -> Categories:
    if not isinstance(listed, list):
        raise DataError(f"{path}: `categories` is not a list")
    try:
        return Categories(tuple(category_of(entry) for entry in listed))
    except DataError as error:
        raise DataError(f"{path}: {error}") from None


def category_of(entry: Any) -> Category:
    """Parse an entry of `categories`. Raise DataError if it is malformed."""
    if not isinstance(entry, dict):
        raise DataError(f"a category is {_short(entry)}, not an object with id, name and isthing")
    try:
        number, isthing = _integer(entry, "id"), _integer(entry, "isthing")
        if not isinstance(entry.get("name"), str):
            raise DataError("no `name`")
        if isthing not in (0, 1):
            raise DataError(f"isthing is {_short(entry['isthing'])}, not 0 or 1")
    except DataError as error:
        raise DataError(f"category {_short(entry.get('name', entry.get('id')))}: {error}") from None
    return Category(number, entry["name"], bool(entry["isthing"]), _color(entry.get("color")))


def _color(listed: Any) -> tuple[int, int, int]:
    """Return the listed RGB, or NO_COLOR if there is no valid one."""
    if isinstance(listed, list) and len(listed) == 3 and all(type(c) is int and 0 <= c < 256 for c in listed):
        red, green, blue = listed
        return red, green, blue
    return NO_COLOR


def _infos(annotation: Mapping[str, Any], where: str) -> dict[int, SegmentInfo]:
    listed = annotation.get("segments_info")
    if not isinstance(listed, list):
        raise DataError(f"{where}: no list `segments_info`")
    infos: dict[int, SegmentInfo] = {}
    for position, entry in enumerate(listed):
        try:
            number, info = _info(entry)
            if number in infos:
                raise DataError(f"id {number} is listed twice; ids are unique in an image")
        except DataError as error:
            raise DataError(f"{where}: segments_info[{position}]: {error}") from None
        infos[number] = info
    return infos


def _info(entry: Any) -> tuple[int, SegmentInfo]:
    if not isinstance(entry, dict):
        raise DataError(f"it is {_short(entry)}, not an object with id and category_id")
    number, category_id = _integer(entry, "id"), _integer(entry, "category_id")
    crowd = _integer(entry, "iscrowd") if "iscrowd" in entry else 0
    area = _integer(entry, "area") if entry.get("area") is not None else None
    score = entry.get("score")
    if not 0 <= number < ID_LIMIT:
        raise DataError(f"id {number} does not fit the 24 bits of a panoptic PNG")
    if crowd not in (0, 1):
        raise DataError(f"iscrowd is {crowd}, not 0 or 1")
    if area is not None and area < 1:
        raise DataError(f"area is {area}; leave it out to have the pixels counted")
    if score is not None and not (isinstance(score, (int, float)) and abs(score) <= SCORE_LIMIT):
        raise DataError(f"score is {_short(score)}, not a number up to {SCORE_LIMIT:.0e}; leave it out")
    return number, SegmentInfo(category_id, crowd == 1, score, number, area)


def _integer(entry: Mapping[str, Any], key: str) -> int:
    """Return the whole number at `key`: 5, 5.0, or a boolean, which some writers use for flags."""
    value = entry.get(key)
    if type(value) is int and -NUMBER_LIMIT < value < NUMBER_LIMIT:  # nearly always
        return value
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        if abs(value) >= NUMBER_LIMIT:
            raise DataError(f"`{key}` has more than 53 bits; it cannot be meant")
        return int(value)
    raise DataError(f"`{key}` is {_short(value)}, not an integer" if key in entry else f"no `{key}`")


def _short(value: Any) -> str:
    return repr(value)[:80]


def _check_known(infos: Mapping[int, SegmentInfo], known: Collection[int], where: str) -> None:
    for number, info in infos.items():
        if info.category_id not in known:
            raise DataError(
                f"{where}: segment {number} has category_id {info.category_id}, which is not among the "
                "categories; map it to one of them"
            )


def read_ids(png: File) -> NDArray[np.int32]:
    """Read a panoptic PNG as (H, W) int32 segment ids. Raise DataError unless it is RGB with 8 bits a channel."""
    if png.is_file():
        with png.open("rb") as file:
            if file.read(26)[24:] != PNG_RGB8:
                raise DataError(f"{png}: not an RGB PNG of 8 bits a channel; write id = R + 256 G + 65536 B")
    rgb = read_rgb(png)
    quads = np.zeros((*rgb.shape[:2], 4), dtype=np.uint8)  # R, G, B, 0: a little-endian number
    quads[..., :3] = rgb
    return quads.view("<i4")[..., 0].astype(np.int32, copy=False)
