"""Assignment of pixels to queries by score × mask probability: on the CPU, on a device, and by tiles."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.fusion.logits import Size, probabilities
from bench.fusion.pixels import MOST_EXACT, probabilities_at
from bench.fusion.tiles import MaskTiles

_TILE = 60_000  # pixels of one query, which whole maps take in the time of one open tile
_TINY = 1e-30  # far above the least float32, where errors are no longer relative


@dataclass(frozen=True, eq=False)
class PixelAssignment:
    """Winning query of each pixel.

    `code` (H, W) is 2k + 1 if query k won with a mask probability >= the threshold, 2k if it won below it. `area` (K,
    2) counts both, below first. `extent` (K,) counts the pixels of each query at or above the threshold, won or not.
    """

    code: Tensor
    area: NDArray[np.int64]
    extent: tuple[int, ...]

    @classmethod
    def of(cls, code: Tensor, extent: Iterable[int]) -> PixelAssignment:
        extents = tuple(extent)
        area = torch.bincount(code.ravel(), minlength=2 * len(extents))
        return cls(code, area.view(-1, 2).cpu().numpy(), extents)


class Assign(Protocol):
    """Assigns each pixel to the query with the highest score × mask probability, the first on a tie.

    `masks` yields the probabilities, a new (H, W) for each of the (K,) `scores`; it is overwritten, and only one is
    held at a time. `weigh_first` compares the weighted probability with the threshold, as transformers does.
    """

    def __call__(
        self, masks: Iterable[Tensor], scores: Tensor, size: Size, threshold: float, *, weigh_first: bool
    ) -> PixelAssignment: ...


def assign_pixels(
    masks: Iterable[Tensor], scores: Tensor, size: Size, threshold: float, *, weigh_first: bool
) -> PixelAssignment:
    """Assign pixels on the CPU, by numpy, which compares bytes faster than torch does."""
    best = np.full(size, -1, dtype=np.float32)
    # Codes go up to 2 * 127 + 1 for 128 queries; in one byte a pass over the map is faster.
    code = np.zeros(size, dtype=np.uint8 if len(scores) <= 128 else np.int16)
    extent: list[int] = []
    for k, probability in enumerate(masks):
        p = probability.numpy()
        if weigh_first:
            p *= scores[k].numpy()
        # transformers multiplies masks by scores before the threshold, the papers compare the mask alone.
        past = p >= threshold
        extent.append(int(np.count_nonzero(past)))
        if not weigh_first:
            p *= scores[k].numpy()
        # k grows, so a later winner has the larger code: a maximum replaces a slow masked write
        np.maximum(code, (p > best) * (past + code.dtype.type(2 * k)), out=code)
        np.maximum(best, p, out=best)
    return PixelAssignment.of(torch.from_numpy(code), extent)


def assign_on_device(
    masks: Iterable[Tensor], scores: Tensor, size: Size, threshold: float, *, weigh_first: bool
) -> PixelAssignment:
    """Assign pixels where the tensors are. Nothing waits for the device before the last query is queued."""
    best = torch.full(size, -1, dtype=torch.float32, device=scores.device)
    code = torch.zeros(size, dtype=torch.uint8 if len(scores) <= 128 else torch.int16, device=scores.device)
    extent: list[Tensor] = []
    for k, probability in enumerate(masks):
        weighted = probability * scores[k]
        past = (weighted if weigh_first else probability) >= threshold
        extent.append(past.sum())
        code = torch.where(weighted > best, past.to(code.dtype) + 2 * k, code)
        best = torch.maximum(best, weighted)
    return PixelAssignment.of(code, torch.stack(extent).tolist())


def assign_by_tiles(tiles: MaskTiles, scores: Tensor, threshold: float) -> tuple[PixelAssignment, float]:
    """Return the assignment of `tiles.masks` to the target, and the share of pixels computed by the plain rule.

    Bounds of score × probability tell which queries may win pixels of a tile, and bounds of the probability which are
    all above or all below the threshold there. Where one query may win and none crosses the threshold, the tile is
    decided. In other tiles the queries in question are compared pixel by pixel. Pixels where the two best, or a
    probability and the threshold, are within rounding are computed by the plain rule; all are if it is faster, as it is
    for few queries or many borders.
    """
    rounding = tiles.error + 2.0**-20
    low, high = tiles.low.sigmoid() * (1 - rounding), tiles.high.sigmoid() * (1 + rounding)
    floor, leader = (low * scores[:, None]).max(0)
    may_win = high * scores[:, None] >= floor - _TINY
    may_win[leader, torch.arange(len(leader))] = True
    above = low >= threshold
    crosses = (high >= threshold) & ~above
    asked = may_win | crosses
    open_ = (may_win.sum(0) > 1) | crosses.any(0)
    sizes = {tiles.geometry.padded_size, tiles.geometry.target_size}  # of the maps that a query is resized to
    if int(open_.sum()) * _TILE > len(scores) * sum(height * width for height, width in sizes):
        return _assign_whole(tiles, scores, threshold), 1.0
    code = tiles.paint((2 * leader + above.gather(0, leader[None])[0]).to(torch.int16))
    unsure = torch.zeros(code.shape, dtype=torch.bool)
    extent = (above * tiles.areas).sum(1)
    numbers = torch.arange(len(scores), dtype=torch.float32)
    count_and_code = torch.stack([torch.ones(len(scores)), 2 * numbers])
    for tile in open_.nonzero()[:, 0].tolist():
        queries = asked[:, tile].nonzero()[:, 0]
        probability = tiles.probabilities(tile, queries)
        weighted = probability * scores[queries, None]
        slack = 2 * float(rounding[tile])
        near = (weighted >= weighted.amax(0) * (1 - slack) - _TINY).float()
        past = (probability >= threshold).float()
        edge = ((probability - threshold).abs() <= slack * threshold).any(0)
        count, winner = count_and_code[:, queries] @ near
        window = tiles.window(tile)
        shape = code[window].shape
        code[window] = (winner + (near * past).amax(0)).view(shape)
        doubtful = (count > 1) | edge
        unsure[window] = doubtful.view(shape)
        extent[queries] += (past * (crosses[queries, tile, None] & ~doubtful)).sum(1).long()
    places = unsure.nonzero().T
    exact = places.shape[1] / code.numel()
    if exact > MOST_EXACT:
        return _assign_whole(tiles, scores, threshold), 1.0
    if exact:
        single = probabilities_at(tiles.masks, tiles.geometry, *places)
        counted = above[:, tiles.paint(torch.arange(len(leader)))[tuple(places)]]
        extent += ((single >= threshold) & ~counted).sum(1)
        rows = (probability[None] for probability in single)
        found = assign_pixels(rows, scores, (1, places.shape[1]), threshold, weigh_first=False)
        code[tuple(places)] = found.code[0].to(code.dtype)
    return PixelAssignment.of(code, extent.tolist()), exact


def _assign_whole(tiles: MaskTiles, scores: Tensor, threshold: float) -> PixelAssignment:
    masks, size = probabilities(tiles.masks, tiles.geometry), tiles.geometry.target_size
    return assign_pixels(masks, scores, size, threshold, weigh_first=False)


def fill_ids(ids: NDArray[np.int32], code: Tensor) -> NDArray[np.int32]:
    """Map (H, W) codes to ids; `ids` (K, 2) are those of a query's pixels below and above the threshold."""
    table = torch.from_numpy(ids.ravel()).to(code.device)
    return table.index_select(0, code.ravel().to(torch.int32)).view(code.shape).cpu().numpy()
