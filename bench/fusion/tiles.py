"""Mask logits by tiles of the result: the bounds of every mask in every tile, and values in one tile.

Bilinear interpolation is monotone: a value lies between the least and the greatest of its four neighbours, since it is
their mean, with weights >= 0 that add up to 1. Both resizes of `to_target` are bilinear, so the logits that have a
weight in a tile bound all values in it. Most tiles are decided by that, without a pixel.
"""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from bench.fusion.logits import ImageGeometry, resize

_CELLS = 8  # logits along the side of a tile: fewer are bounded more tightly, more make fewer tiles
ROUNDING = 2.0**-24  # relative, of one float32 operation


class Axis(NamedTuple):
    """The tiles along one axis of the result. Tile i has the pixels from `starts[i]` to `starts[i + 1]`.

    `weights` (n_target, n_logits) are those of both resizes; in tile i, logits from `first[i]` to `last[i]`, the end
    excluded, have any.
    """

    weights: Tensor
    starts: list[int]
    first: list[int]
    last: list[int]


@lru_cache(maxsize=16)
def _axis(logits: int, padded: int, image: int, target: int) -> Axis:
    weights = resize(resize(torch.eye(logits), (padded, logits))[:image], (target, logits))
    side = max(4, round(_CELLS * target * padded / (logits * image)))
    starts = [*range(0, target, side), target]
    used = weights > 0
    under = [used[start : start + side].any(0).nonzero()[:, 0] for start in starts[:-1]]
    return Axis(weights, starts, [int(u[0]) for u in under], [int(u[-1]) + 1 for u in under])


@dataclass(frozen=True, eq=False)
class MaskTiles:
    """(Q, h, w) mask logits, float32 on the CPU, by the T tiles of the result, row by row."""

    masks: Tensor
    geometry: ImageGeometry

    @cached_property
    def axes(self) -> tuple[Axis, Axis]:
        """Rows and columns."""
        sizes = self.geometry.padded_size, self.geometry.image_size, self.geometry.target_size
        return _axis(self.masks.shape[1], *(s[0] for s in sizes)), _axis(self.masks.shape[2], *(s[1] for s in sizes))

    @cached_property
    def low(self) -> Tensor:
        """The least logit of each mask in each tile: (Q, T)."""
        return self._reduced(torch.amin)

    @cached_property
    def high(self) -> Tensor:
        """The greatest logit: (Q, T)."""
        return self._reduced(torch.amax)

    def _reduced(self, reduce: Callable[[Tensor, int], Tensor]) -> Tensor:
        rows, columns = self.axes
        bands = torch.stack([reduce(self.masks[:, a:b], 1) for a, b in zip(rows.first, rows.last)], 1)  # noqa: B905
        tiles = [reduce(bands[..., a:b], 2) for a, b in zip(columns.first, columns.last)]  # noqa: B905 - Python 3.9
        return torch.stack(tiles, 2).flatten(1)

    @cached_property
    def error(self) -> Tensor:
        """Relative difference at most, in each tile (T,), between a probability computed here and by the plain rule.

        Either rounds a logit 16 times at most, relative to the greatest in the tile. That error is one of the exponent
        in the sigmoid, which is rounded itself.
        """
        return 2 * ROUNDING * (16 * torch.maximum(self.high, -self.low).amax(0) + 4)

    @cached_property
    def areas(self) -> Tensor:
        """Pixels of each tile: (T,) int64."""
        rows, columns = (torch.tensor(axis.starts).diff() for axis in self.axes)
        return (rows[:, None] * columns).flatten()

    def of(self, queries: Tensor, masks: Tensor) -> MaskTiles:
        """Return the tiles of some of the queries, whose masks are given, with the bounds that are known."""
        some = MaskTiles(masks, self.geometry)
        for name in {"low", "high"} & vars(self).keys():
            vars(some)[name] = getattr(self, name)[queries]
        return some

    def window(self, tile: int) -> tuple[slice, slice]:
        """Return the rows and columns of the result in a tile."""
        rows, columns = self.axes
        i, j = divmod(tile, len(columns.first))
        return slice(*rows.starts[i : i + 2]), slice(*columns.starts[j : j + 2])

    def probabilities(self, tile: int, queries: Tensor) -> Tensor:
        """Return the probabilities (k, pixels) of k queries in a tile; `error` bounds their rounding."""
        rows, columns = self.axes
        i, j = divmod(tile, len(columns.first))
        here = self.window(tile)
        under = slice(rows.first[i], rows.last[i]), slice(columns.first[j], columns.last[j])
        down, across = rows.weights[here[0], under[0]], columns.weights[here[1], under[1]]
        logits = down @ (self.masks[queries, under[0], under[1]] @ across.T)
        return logits.flatten(1).sigmoid_()

    def paint(self, per_tile: Tensor) -> Tensor:
        """Return (H, W) with the value (T,) of each pixel's tile."""
        rows, columns = self.axes
        grid = per_tile.view(len(rows.first), len(columns.first))
        for dim, axis in enumerate(self.axes):
            grid = grid.repeat_interleave(torch.tensor(axis.starts).diff(), dim)
        return grid
