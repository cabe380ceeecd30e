"""Semantic labels as colours, in ika's layout: `input/<stem>.png` and `label/<stem>_gtFine_labelColor.png`.

There are no instances, so such a data set has mIoU but no PQ.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from bench.datasets.label_maps import void_id
from bench.datasets.label_spaces import LabelSpace
from bench.errors import DataError, UsageError, error_context
from bench.io.images import read_rgb
from bench.io.pictures import Pictures
from bench.types import RGB, Sample

LABEL_SUFFIX = "_gtFine_labelColor.png"
NO_PQ = "has semantic labels only: there is mIoU, but no PQ, since its instances are not labelled"


def samples(
    name: str, root: Path, space: LabelSpace, remedy: str, bits: int | None = None
) -> tuple[tuple[Sample, ...], Pictures]:
    """Return the samples by name, and their pictures.

    Opens no image; raises DataError if images or labels are missing.
    """
    images = sorted((root / "input").glob("*.png"))
    if not images:
        raise DataError(f"{root / 'input'}: no images (*.png) here.\n{remedy}")
    label_of = {path.stem: root / "label" / f"{path.stem}{LABEL_SUFFIX}" for path in images}
    missing = [path for path in label_of.values() if not path.is_file()]
    if missing:
        raise DataError(f"{len(missing)} images have no label, first {missing[0]}; unpack the labels again")
    pictures = Pictures(images, bits)
    return tuple(
        Sample(
            path.stem,
            "",
            partial(pictures.read, path.stem, path),
            partial(_no_panoptic, name),
            partial(_read_semantic, label_of[path.stem], space),
            image_file=path,
            target_files=(label_of[path.stem],),
        )
        for path in images
    ), pictures


def _no_panoptic(name: str) -> NoReturn:
    raise UsageError(f"{name} {NO_PQ}")


def _read_semantic(path: Path, space: LabelSpace) -> NDArray[np.int32]:
    with error_context(path):
        return semantic_of(read_rgb(path), space)


def semantic_of(rgb: RGB, space: LabelSpace) -> NDArray[np.int32]:
    """Map (H, W, 3) colours to (H, W) category ids, void as `void_id`. Raise DataError for unknown colours."""
    void = void_id(space.evaluated)
    ids = {_packed(label.color): void for label in space.void} | {_packed(c.color): c.id for c in space.categories}
    # Binary search in the sorted colours: a table of all 2^24 would be larger than most images.
    colors = np.array(sorted(ids), dtype=np.int64)
    pixels = rgb.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1])  # (H, W)
    at: NDArray[np.intp] = np.minimum(np.searchsorted(colors, pixels), len(colors) - 1)
    unknown = pixels[colors[at] != pixels]
    if unknown.size:
        found, counts = np.unique(unknown, return_counts=True)
        most = int(found[counts.argmax()])
        raise DataError(
            f"colour ({most >> 16}, {most >> 8 & 255}, {most & 255}) of {counts.max()} pixels is not that of a label "
            f"({unknown.size} pixels of {len(found)} unknown colours); check the label space, and for lossy compression"
        )
    table = np.array([ids[color] for color in colors.tolist()], dtype=np.int32)
    return table[at]


def _packed(color: tuple[int, int, int]) -> int:
    red, green, blue = color
    return red << 16 | green << 8 | blue
