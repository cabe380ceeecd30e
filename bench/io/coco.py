"""COCO panoptic format: a PNG of segment ids (id = R + 256 G + 65536 B) and a JSON with segments_info.

As in panopticapi, id 0 is void unless segments_info lists it. Ground truth whose JSON and PNG differ, which panopticapi
accepts, raises DataError.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.io.archive import File
from bench.io.coco_json import Entries, parse_json, read_tables
from bench.io.images import image_errors, open_image, read_content
from bench.io.segments_info import Fault, Infos, read_segments, undeclared
from bench.types import Categories, Panoptic

TIFF_BITS = 258  # the tag BitsPerSample
LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")  # Pillow's names of compressions
NEAR = 24  # most that JPEG moves a channel
LOSSY_IDS, LOSSY_SAMPLE = (
    8,
    200,
)  # unlisted ids, from which on they are no mere omission; of which so many are looked at


@dataclass(frozen=True, eq=False)
class CocoPanoptic:
    """Validated COCO panoptic JSON.

    `annotations`, `images` and `segments` are by image id, in file order; `segments` holds segments_info by segment id.
    """

    path: File
    annotations: Entries
    images: Entries
    listed: Categories | None
    segments: Mapping[str, Infos]

    @property
    def categories(self) -> Categories:
        """Categories of the file. Raises DataError if it lists none, as files of predictions may."""
        if self.listed is None:
            raise DataError(f"{self.path}: no `categories`; give the ground truth's JSON, which lists them")
        return self.listed


def load_json(path: File, *, is_truth: bool = False) -> CocoPanoptic:
    """Read and validate a COCO panoptic JSON of ground truth or predictions. Opens no PNG."""
    # Collections would walk through millions of new objects, of which none is garbage: a third of the time.
    collecting = gc.isenabled()
    gc.disable()
    try:
        tables = read_tables(parse_json(path), is_truth=is_truth)
    finally:
        if collecting:
            gc.enable()
    _raise_first(tables.faults, str(path))
    return CocoPanoptic(path, tables.annotations, tables.images, tables.categories, tables.segments)


def _raise_first(faults: list[Fault], where: str) -> None:
    fault = next((fault for fault in faults if fault.stops), None)
    if fault is not None:
        raise DataError(f"{where}{'' if fault.image_id is None else f', image {fault.image_id!r}'}: {fault.what}")


@dataclass(frozen=True, eq=False)
class PanopticFile:
    """PNG and annotation of one image; calling it reads the Panoptic.

    `known` are the allowed category ids, `listed` the segments if `load_json` has validated them.
    """

    png: File
    annotation: Mapping[str, Any]
    known: Collection[int]
    is_truth: bool = False
    listed: Infos | None = None

    def __call__(self) -> Panoptic:
        infos = self.infos()
        ids = read_ids(self.png)
        try:
            found = Panoptic.from_ids(ids, infos, is_truth=self.is_truth)
        except DataError as error:
            cause = _cause(ids, infos) or "PNG and JSON do not belong together"
            raise DataError(f"{self.where}: {error}; {cause}") from None
        if self.is_truth and (wrong := next((s for s in found.segments_info if s.declared_area == 0), None)):
            raise DataError(
                f"{self.where}: segment {wrong.source_id} has pixels and its `area` is 0; "
                "leave it out to have them counted"
            )
        return found

    @property
    def where(self) -> str:
        return f"{self.png}, image {self.annotation.get('image_id', self.png.stem)!r}"

    def infos(self) -> Infos:
        """Return segments_info by segment id. Raise DataError if an entry is invalid."""
        if self.listed is None:
            faults: list[Fault] = []
            infos: Infos = read_segments(self.annotation, self.known, faults, is_truth=self.is_truth)
            _raise_first(faults, self.where)
            return infos
        for info in self.listed.values():
            if info.category_id not in self.known:
                raise DataError(f"{self.where}: {undeclared(info)}")
        return self.listed


def read_panoptic(
    png: File, annotation: Mapping[str, Any], known: Collection[int], *, is_truth: bool = False
) -> Panoptic:
    """Read the PNG and annotation of one image as a Panoptic."""
    return PanopticFile(png, annotation, known, is_truth)()


def read_ids(png: File) -> NDArray[np.int32]:
    """Read a panoptic PNG, TIFF or BMP as (H, W) int32 segment ids.

    Raise DataError unless it has 8 bits a channel, is RGB or RGBA with alpha 255 everywhere, and stored without loss.
    """
    with image_errors(png):
        content = read_content(png)
        with open_image(content) as image:
            depth = _bits(image, content)
            if image.mode not in ("RGB", "RGBA") or depth != 8:
                kind = f"{image.format} of mode {image.mode}" + (f" and {depth} bits" if depth else "")
                lossy = (
                    ", and lossy formats change ids" if image.format in ("JPEG", "WEBP", "TIFF") and not depth else ""
                )
                raise DataError(
                    f"{png}: not an RGB PNG of 8 bits a channel but {kind}{lossy}; write id = R + 256 G + 65536 B"
                )
            pixels = np.asarray(image)
    if pixels.shape[2] == 4 and (clear := int((pixels[..., 3] != 255).sum())):
        raise DataError(f"{png}: its alpha channel is not 255 in {clear} pixels; save the ids as RGB, without alpha")
    quads = np.zeros((*pixels.shape[:2], 4), dtype=np.uint8)  # R, G, B, 0: a little-endian number
    quads[..., :3] = pixels[..., :3]
    return quads.view("<i4")[..., 0].astype(np.int32, copy=False)


def _bits(image: Any, content: bytes) -> int:
    """Return the bits of a channel as stored; 0 for formats other than PNG, TIFF and BMP, and for lossy TIFF."""
    if image.format == "PNG":
        return content[24]
    if image.format == "BMP":
        # Pillow widens 5 bits a channel to 8; with 24 or 32 bits a pixel each has 8.
        pixel = int.from_bytes(content[28:30], "little")
        return 8 if pixel in (24, 32) else pixel
    if image.format == "TIFF" and image.info.get("compression") not in LOSSY_TIFF:
        return int(max(image.tag_v2.get(TIFF_BITS, (1,))))
    return 0


def _cause(ids: NDArray[np.int32], infos: Infos) -> str:
    numbers, pixels = np.unique(ids, return_counts=True)
    return cause_of_unlisted(dict(zip(numbers.tolist(), pixels.tolist(), strict=True)), infos)


def cause_of_unlisted(counts: Mapping[int, int], listed: Collection[int]) -> str:
    """Return what spoilt the ids of a PNG so that they are not listed, and the remedy; "" if nothing is recognised.

    `counts` are the pixels of each id; 0 is void.
    """
    unlisted = [number for number in counts if number and number not in listed]
    if not unlisted or not listed:
        return ""
    if all(_swapped(number) in listed for number in unlisted):
        return "the ids fit with red and blue swapped: the PNG is in BGR order (OpenCV's); write it as RGB"
    colors, spoilt = (
        np.array(ids, "<i4").view(np.uint8).reshape(-1, 4).astype(int) for ids in ([*listed, 0], unlisted)
    )
    sample = spoilt[:: len(spoilt) // LOSSY_SAMPLE + 1]
    near = sum(bool((np.abs(colors - one).max(axis=1) <= NEAR).any()) for one in sample)
    if len(unlisted) >= LOSSY_IDS and 2 * near >= len(sample):
        return (
            f"{len(unlisted)} ids are not listed and most of them near a listed one, as JPEG or a smooth resize leaves "
            "them: write the PNG again from the ids, and resize by nearest"
        )
    return ""


def _swapped(number: int) -> int:
    """Return the id with red and blue swapped."""
    return number >> 16 | number & 0xFF00 | (number & 0xFF) << 16
