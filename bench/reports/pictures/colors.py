"""Colours of panoptic overlays and error maps, as (H, W, 3) uint8."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from bench.io.images import LUMA
from bench.metrics.error_map import Error
from bench.types import RGB, Categories, IdMap, Panoptic

Ids = TypeVar("Ids", bound=np.integer)
RGBFloat = NDArray[np.float32]
OVERLAY, ERROR = 0.62, 0.72  # opacity over the grey image
SHADES = (0.0, 0.35, -0.3, 0.2, 0.5, -0.15)  # towards white or black, in turn for the instances of an image
STRIPE_PX = 6
BORDER = (255, 255, 255)
VOID = (0, 0, 0)
# Okabe and Ito's colours for what is wrong, greys for what is not.
ERROR_COLORS: Mapping[Error, tuple[int, int, int]] = {
    Error.CORRECT: (205, 205, 205),
    Error.WRONG_CLASS: (213, 94, 0),
    Error.WRONG_SEGMENT: (240, 228, 66),
    Error.MISSED: (0, 114, 178),
    Error.SPURIOUS: (204, 121, 167),
    Error.IGNORED: (45, 45, 45),
}


def scaled_size(size: tuple[int, int], longer_px: int) -> tuple[int, int]:
    """Return (H, W) with the longer side at most `longer_px`; small images grow by whole factors only."""
    longer = max(size)
    # Whole factors keep pixels square, so that a thin segment does not vary in width.
    factor = longer_px // longer if longer <= longer_px else longer_px / longer
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def scaled_rgb(rgb: RGB, size: tuple[int, int]) -> RGB:
    """Resize an (H, W, 3) uint8 image: nearest pixel to enlarge, Lanczos to reduce."""
    grows = size[0] > rgb.shape[0]
    kind = PilImage.Resampling.NEAREST if grows else PilImage.Resampling.LANCZOS
    return np.asarray(PilImage.fromarray(rgb).resize(size[::-1], kind))


def scaled_ids(ids: NDArray[Ids], size: tuple[int, int]) -> NDArray[Ids]:
    """Resize an (H, W) map of integers by nearest pixel."""
    # No interpolation: an average of two ids would be a third segment.
    rows = np.arange(size[0]) * ids.shape[0] // size[0]
    columns = np.arange(size[1]) * ids.shape[1] // size[1]
    scaled: NDArray[Ids] = ids[rows[:, None], columns[None, :]]
    return scaled


def overlay(rgb: RGB, ids: IdMap, panoptic: Panoptic, categories: Categories) -> RGB:
    """Blend class colours over the grey image; things in shades of their class colour, with white borders.

    `ids` is the id map of `panoptic` at the size of `rgb`. Crowd regions are striped, void is nearly black.
    """
    segments = panoptic.segments_info
    blended = _blend(rgb, _colors(panoptic, categories)[ids], OVERLAY)
    blended[ids == 0] //= 3
    crowd = np.array([False, *(s.iscrowd for s in segments)])[ids]
    diagonal = np.add.outer(np.arange(ids.shape[0]), np.arange(ids.shape[1]))
    stripes = crowd & (diagonal // STRIPE_PX % 2 == 0)
    blended[stripes] = blended[stripes] // 2 + 110
    things = np.array([False, *(categories.items[categories.index_of[s.category_id]].isthing for s in segments)])
    blended[_borders(ids, things[ids])] = BORDER
    return blended


def error_picture(rgb: RGB, codes: NDArray[np.uint8]) -> RGB:
    colors = np.array([ERROR_COLORS[error] for error in Error], dtype=np.float32)
    return _blend(rgb, colors[codes], ERROR)


def _colors(panoptic: Panoptic, categories: Categories) -> RGBFloat:
    """Return (n + 1, 3) colours by dense id. The first instance of a class has its unshaded colour."""
    seen: dict[int, int] = {}
    colors: list[tuple[float, ...]] = [VOID]
    for segment in panoptic.segments_info:
        category = categories.items[categories.index_of[segment.category_id]]
        turn = seen[category.id] = seen.get(category.id, -1) + 1
        colors.append(_shade(category.color, SHADES[turn % len(SHADES)] if category.isthing else 0.0))
    return np.array(colors, dtype=np.float32)


def _shade(color: tuple[int, int, int], amount: float) -> tuple[float, ...]:
    target = 255 if amount > 0 else 0
    return tuple(channel + abs(amount) * (target - channel) for channel in color)


def _blend(rgb: RGB, colors: RGBFloat, opacity: float) -> RGB:
    grey = (rgb.astype(np.float32) @ LUMA)[..., None]
    return np.rint(opacity * colors + (1 - opacity) * grey).astype(np.uint8)


def _borders(ids: IdMap, things: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return an (H, W) mask: the segment to the right or below differs, and one of the two is a thing."""
    # Borders between stuff would cover thin classes such as distant poles.
    edge = np.zeros(ids.shape, dtype=bool)
    edge[:, :-1] |= (ids[:, :-1] != ids[:, 1:]) & (things[:, :-1] | things[:, 1:])
    edge[:-1] |= (ids[:-1] != ids[1:]) & (things[:-1] | things[1:])
    return edge
