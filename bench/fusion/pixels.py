"""Mask probabilities of single pixels, equal to those of whole resized masks in every bit."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from bench.fusion.logits import ImageGeometry, Size, probabilities, to_target

MOST_EXACT = 1 / 16  # of the pixels of a map: above, whole masks are faster
_LANES = 64  # float32 numbers; a multiple of what ATen computes at once on any processor
_Read = Callable[[Tensor, Tensor], Tensor]  # (n,) rows and columns → (Q, n) values


def probabilities_at(masks: Tensor, geometry: ImageGeometry, rows: Tensor, columns: Tensor) -> Tensor:
    """Return (Q, n) sigmoids of (Q, h, w) mask logits at pixels of the target, as `to_target(mask).sigmoid()` has them.

    Whole masks are resized if the single values would differ on this processor.
    """
    if not _reproduces((int(masks.shape[1]), int(masks.shape[2])), geometry):
        return torch.stack([whole[rows, columns] for whole in probabilities(masks, geometry)])
    return _sigmoid(_logits(masks, geometry, rows, columns), rows * geometry.target_size[1] + columns, geometry)


def _logits(masks: Tensor, geometry: ImageGeometry, rows: Tensor, columns: Tensor) -> Tensor:
    """Return (Q, n) values of `to_target`, its two resizes one inside the other."""
    size = int(masks.shape[1]), int(masks.shape[2])

    def padded(rows: Tensor, columns: Tensor) -> Tensor:
        return _resized(lambda r, c: masks[:, r, c], size, geometry.padded_size, rows, columns)

    return _resized(padded, geometry.image_size, geometry.target_size, rows, columns)


def _resized(read: _Read, source: Size, target: Size, rows: Tensor, columns: Tensor) -> Tensor:
    if source == target:
        return read(rows, columns)
    (top, bottom, above, below), (left, right, before, after) = (
        [part[at] for part in _neighbours(n_in, n_out)]
        for n_in, n_out, at in zip(source, target, (rows, columns))  # noqa: B905 - `strict` came with Python 3.10
    )
    upper = _multiply_add(before, read(top, left), after * read(top, right))
    lower = _multiply_add(before, read(bottom, left), after * read(bottom, right))
    return _multiply_add(above, upper, below * lower)


def _multiply_add(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """Return a * b + c, rounded once, as the processors' instruction does that compilers make of it."""
    return (a.double() * b + c).float()


@lru_cache(maxsize=64)
def _neighbours(n_in: int, n_out: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the first and second neighbour of each of `n_out` places, and their weights.

    At the end both neighbours are the last, with two weights. One row more, at the same scale, tells them apart.
    """
    longer = interpolate(torch.eye(n_in + 1)[None, None], scale_factor=(n_out / n_in, 1.0), mode="bilinear")
    weights = longer[0, 0, :n_out]
    first = (weights > 0).to(torch.uint8).argmax(1)
    before = weights.gather(1, first[:, None])[:, 0]
    after = weights.gather(1, first[:, None] + 1)[:, 0]
    return first, (first + 1).clamp(max=n_in - 1), before, after


def _sigmoid(logits: Tensor, places: Tensor, geometry: ImageGeometry) -> Tensor:
    """Return the sigmoids of (Q, n) logits at flat `places` of the map.

    ATen computes the last numbers of a map one by one, with another rounding than the others. So the last of the map
    go to the end of a buffer that ends like the map, and each query has a row that is not joined with the next.
    """
    size = geometry.target_size[0] * geometry.target_size[1]
    tail = size % _LANES
    start = -(-len(places) // _LANES) * _LANES
    at = torch.arange(len(places))
    at = torch.where(places >= size - tail, start + places - (size - tail), at)
    buffer = torch.zeros(len(logits), start + tail + 1)[:, :-1]
    buffer[:, at] = logits
    return buffer.sigmoid()[:, at]


@lru_cache(maxsize=256)
def _reproduces(size: Size, geometry: ImageGeometry) -> bool:
    """Return whether single values equal those of a whole mask: at 4,000 places and along the last row and column.

    They do not where ATen takes another kernel (maps whose sides add up to 128 px or less, other processors), and where
    a crop makes it go through a map row by row.
    """
    random = torch.Generator().manual_seed(0)
    mask = 8 * torch.randn(1, *size, generator=random)
    height, width = geometry.target_size
    rows, columns = (torch.randint(n, (4000,), generator=random) for n in (height, width))
    down, across = torch.arange(height), torch.arange(width)
    rows = torch.cat([rows, down, torch.full_like(across, height - 1)])
    columns = torch.cat([columns, torch.full_like(down, width - 1), across])
    whole = to_target(mask[0], geometry)
    single = _logits(mask, geometry, rows, columns)
    ends = whole.is_contiguous()
    return ends and bool((single == whole[rows, columns]).all())
