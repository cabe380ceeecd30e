"""The JSON of the COCO panoptic format: categories, images, annotations and segments, with every fault of them.

Contradictory data that panopticapi accepts (repeated ids of images, segments and categories) are faults.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from bench.errors import DataError, excerpt
from bench.io import files
from bench.io.archive import File
from bench.io.segments_info import Fault, Infos, integer, read_segments
from bench.types import NO_COLOR, Categories, Category

NAME_LIMIT, PATH_LIMIT = 255, 1024  # bytes of a file's name, and of its path below the folder
IMAGE_ID_LIMIT = 1 << 12  # characters
PLAIN_NAME = re.compile(r"[\w-][\w.-]{0,99}", re.ASCII)  # leads nowhere
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)

Entries = Mapping[str, Mapping[str, Any]]  # by image id, in file order


@dataclass(frozen=True, eq=False)
class CocoTables:
    """Valid entries of a JSON, and all its faults. `categories` is None if it lists none, as predictions may."""

    categories: Categories | None
    images: Entries
    annotations: Entries
    segments: Mapping[str, Infos]
    faults: list[Fault]


def parse_json(path: File) -> Any:
    """Read a JSON file within the limits of `bench.io.files`. Raise DataError if it cannot be read."""
    try:
        content = files.read_bytes(path) if isinstance(path, Path) else path.read_bytes()
        if content.startswith(UTF_16) or b"\0" in content[:2]:
            raise ValueError("it is UTF-16, as Windows PowerShell writes; save it as UTF-8")
        if content.startswith(b"\x1f\x8b"):
            raise ValueError("it is compressed by gzip; unpack it")
        if not content.strip():
            raise ValueError("it is empty")
        return files.loads_strict(content.removeprefix(codecs.BOM_UTF8))
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); name another file") from None
    except ValueError as error:  # syntax, or bytes that are no UTF-8
        raise DataError(f"{path}: not valid JSON ({error}); write or download it again") from None


def read_tables(data: Any, *, is_truth: bool) -> CocoTables:
    """Return the valid entries of a parsed JSON of ground truth or predictions, and its faults in their order."""
    faults: list[Fault] = []
    if what := _other_format(data):
        return CocoTables(None, {}, {}, {}, [Fault("json-format", what)])
    if is_truth and not data["annotations"]:
        faults.append(Fault("no-images", "`annotations` is an empty list, so there is no image; export it again"))
    for key in ("images", "categories"):
        if not isinstance(data.get(key), list):
            what = f"no list `{key}`" if data.get(key) is None else f"`{key}` is not a list"
            faults.append(Fault("json-format", what, stops=data.get(key) is not None))
    categories = _categories(data["categories"], faults) if isinstance(data.get("categories"), list) else None
    listed = _by_image(data["annotations"], "image_id", "annotation", faults)
    known = None if categories is None else categories.index_of
    annotations, segments = {}, {}
    for image_id, annotation in listed.items():
        if reason := file_name_fault(annotation.get("file_name")):
            kind = "file-name-unsafe" if annotation.get("file_name") else "annotation-malformed"
            faults.append(Fault(kind, reason, image_id))
            continue
        before = len(faults)
        infos = read_segments(annotation, known, faults, image_id, is_truth=is_truth)
        if len(faults) == before or faults[before].kind != "annotation-malformed":
            annotations[image_id], segments[image_id] = annotation, infos
    images = _by_image(data["images"] if isinstance(data.get("images"), list) else [], "id", "image", faults)
    for image_id, entry in images.items():  # names that only a data set with pictures needs
        if reason := file_name_fault(entry.get("file_name")):
            kind = "file-name-unsafe" if entry.get("file_name") else "image-malformed"
            faults.append(Fault(kind, reason, image_id, stops=False))
    return CocoTables(categories, images, annotations, segments, faults)


def _other_format(data: Any) -> str:
    """Return what a JSON is that is no COCO panoptic one, and which would fit; "" if it has a list `annotations`."""
    panoptic = 'a panoptic JSON is {"annotations": [{"image_id", "file_name", "segments_info"}, …]} with a PNG an image'
    entries = data.get("annotations") if isinstance(data, dict) else data
    first = entries[0] if isinstance(entries, list) and entries and isinstance(entries[0], dict) else {}
    if not isinstance(entries, list):
        keys = f", but the keys {', '.join(map(excerpt, list(data)[:5]))}" if isinstance(data, dict) and data else ""
        return f"no list `annotations`{keys}; this is not a COCO panoptic JSON: {panoptic}"
    if "segments_info" in first:
        return "" if isinstance(data, dict) else 'a list of annotations; write it as {"annotations": [ … ]}'
    if not isinstance(data, dict):
        detections = "category_id" in first or "bbox" in first or "segmentation" in first
        what = "a list of detections, as COCO's results of boxes and masks" if detections else "no list `annotations`"
        return f"{what}; this is not a COCO panoptic JSON: {panoptic}"
    if {"bbox", "segmentation", "keypoints", "caption"} & first.keys():
        return (
            "a COCO instances JSON: each annotation is one object, without `segments_info`; give the panoptic one "
            f"(panoptic_*.json), or convert it with panopticapi's converters: {panoptic}"
        )
    return ""


def _by_image(entries: list[Any], key: str, kind: str, faults: list[Fault]) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {}
    for position, entry in enumerate(entries):
        image_id = entry.get(key) if isinstance(entry, dict) else None
        if isinstance(image_id, float) and image_id.is_integer():  # 3.0, as pandas writes a column with gaps
            image_id = int(image_id)
        if type(image_id) not in (str, int):
            found_one = "" if image_id is None else f" but {excerpt(image_id)}"
            what = f"{kind}s[{position}] has no `{key}` (a string or an integer){found_one}"
            faults.append(Fault(f"{kind}-malformed", what))
        elif len(name := str(image_id)) > IMAGE_ID_LIMIT:
            what = f"{kind}s[{position}] has a `{key}` of {len(name)} characters; shorten it"
            faults.append(Fault(f"{kind}-malformed", what))
        elif name in found:
            faults.append(Fault(f"{kind}-twice", f"it is in `{kind}s` twice; keep one", name))
        else:
            found[name] = entry
    return found


def file_name_fault(name: Any) -> str:
    """Return why `file_name` (of an annotation or of `images`) is missing, too long or leaves its folder, else ""."""
    if isinstance(name, str) and PLAIN_NAME.fullmatch(name):
        return ""
    if not isinstance(name, str) or not name:
        return "no `file_name`"
    longest = max((len(part.encode(errors="surrogatepass")) for part in PurePosixPath(name).parts), default=0)
    if longest > NAME_LIMIT or len(name.encode(errors="surrogatepass")) > PATH_LIMIT:
        return f"file_name {name[:40]!r}… is longer than a file system takes"
    for kind in (PurePosixPath, PureWindowsPath):
        if kind(name).is_absolute() or kind(name).drive or ".." in kind(name).parts or "\0" in name:
            return f"file_name {name!r} leaves the folder"
    return ""


def _categories(listed: list[Any], faults: list[Fault]) -> Categories:
    kept: dict[int, Category] = {}
    names: set[str] = set()
    for entry in listed:
        try:
            category = read_category(entry)
            Categories((category,))
        except DataError as error:
            faults.append(Fault("category-malformed", str(error)))
            continue
        if category.id in kept:
            faults.append(Fault("category-twice", f"category id {category.id} is listed twice"))
        elif category.name in names:
            faults.append(Fault("category-name-twice", f"two categories are called {category.name!r}", stops=False))
        kept.setdefault(category.id, category)
        names.add(category.name)
    try:
        return Categories(tuple(kept.values()))
    except DataError as error:
        faults.append(Fault("category-malformed", str(error)))
        return Categories(())


def read_category(entry: Any) -> Category:
    """Return an entry of `categories`. Raise DataError if it is malformed."""
    if not isinstance(entry, dict):
        raise DataError(f"a category is {excerpt(entry)}, not an object with id, name and isthing")
    try:
        number, isthing = integer(entry, "id"), integer(entry, "isthing")
        if not isinstance(entry.get("name"), str):
            raise DataError("no `name`")
        if isthing not in (0, 1):
            raise DataError(f"isthing is {excerpt(entry['isthing'])}, not 0 or 1")
    except DataError as error:
        raise DataError(f"category {excerpt(entry.get('name', entry.get('id')))}: {error}") from None
    return Category(number, entry["name"], bool(entry["isthing"]), _color(entry.get("color")))


def _color(listed: Any) -> tuple[int, int, int]:
    """Return the listed RGB, or NO_COLOR if there is no valid one."""
    if isinstance(listed, list) and len(listed) == 3 and all(type(c) is int and 0 <= c < 256 for c in listed):
        red, green, blue = listed
        return red, green, blue
    return NO_COLOR
