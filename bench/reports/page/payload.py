"""Data of one gallery image: the photo as JPEG, and maps of compressed ids that the page's script colours."""

from __future__ import annotations

import base64
import io
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage

from bench.metrics.error_map import pair_codes
from bench.metrics.semantic import category_indices
from bench.reports.pictures.colors import scaled_ids, scaled_rgb
from bench.reports.pictures.images import ImageView
from bench.types import RGB, Categories, Panoptic

LONGER_PX = 1024
QUALITY = 82

Box = tuple[int, int, int, int]  # left, top, right, bottom (px of the shown size), right and bottom exclusive


def shown_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the displayed (H, W): the image's own, scaled down if its longer side exceeds the limit."""
    factor = min(1.0, LONGER_PX / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def payload(image_id: str, views: Mapping[int, ImageView], categories: Categories) -> dict[str, Any]:
    """Return the data of one image for every view; `views` maps the run's index to its view of this image."""
    first = next(iter(views.values()))
    height, width = size = shown_size(first.truth.size)
    return {
        "id": image_id,
        "height": height,
        "width": width,
        "photo": _photo(scaled_rgb(first.rgb, size)),
        "truth": _map(first.truth, size, categories),
        "runs": {
            str(k): {
                **_map(view.prediction, size, categories),
                "codes": packed(pair_codes(view.truth, view.prediction, view.matches)),
                "semantic": _semantic(view.semantic, size, categories),
            }
            for k, view in views.items()
        },
    }


def _photo(rgb: RGB) -> str:
    stream = io.BytesIO()
    PilImage.fromarray(rgb).save(stream, format="JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stream.getvalue()).decode("ascii")


def _map(panoptic: Panoptic, size: tuple[int, int], categories: Categories) -> dict[str, Any]:
    """Return dense ids, and class index, area and crowd flag of each segment."""
    segments = [
        [categories.index_of[info.category_id], int(area), int(info.iscrowd)]
        for info, area in zip(panoptic.segments_info, panoptic.areas, strict=True)
    ]
    return {"ids": packed(scaled_ids(panoptic.id_map, size)), "segments": segments}


def _semantic(ids: NDArray[np.int32] | None, size: tuple[int, int], categories: Categories) -> str | None:
    """Return the model's semantic output as 1 + class index, 0 for void; None if not saved."""
    if ids is None:
        return None
    places = category_indices(scaled_ids(ids, size), categories) + 1
    return packed(np.where(places > len(categories), 0, places))


def packed(values: NDArray[np.integer[Any]]) -> str:
    """Encode an array of integers below 65536: little-endian uint16, row-major, zlib, base64."""
    # Level 9: a page is written once and opened many times.
    return base64.b64encode(zlib.compress(values.astype("<u2").tobytes(), 9)).decode("ascii")


def box_of(panoptic: Panoptic, dense_id: int) -> Box:
    """Return the bounding box of a segment at the displayed size."""
    # The far edges round up, so that the box covers segments of a pixel.
    rows, columns = np.nonzero(panoptic.id_map == dense_id)
    (height, width), (shown_h, shown_w) = panoptic.size, shown_size(panoptic.size)
    return (
        int(columns.min()) * shown_w // width,
        int(rows.min()) * shown_h // height,
        -(-(int(columns.max()) + 1) * shown_w // width),
        -(-(int(rows.max()) + 1) * shown_h // height),
    )
