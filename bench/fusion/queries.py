"""Class and mask logits of a query model → Panoptic, by the rule of a named preset.

The rules reproduce the authors' code: Mask2Former and MaskFormer (`panoptic_inference`), DETR (`PostProcessPanoptic`)
and transformers (`post_process_panoptic_segmentation`).
"""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from threading import Lock
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from bench.errors import UsageError
from bench.fusion.assignment import (
    Assign,
    PixelAssignment,
    assign_by_tiles,
    assign_on_device,
    assign_pixels,
    fill_ids,
)
from bench.fusion.detr import detr_segments
from bench.fusion.hf import hf_segments
from bench.fusion.logits import (
    ImageGeometry,
    SelectedQueries,
    check_finite,
    check_shapes,
    class_probabilities,
    probabilities,
    select,
    single_threaded,
)
from bench.fusion.presets import FusionSpec
from bench.fusion.semantic import category_ids, plain_semantic, tiled_semantic
from bench.fusion.tiles import MaskTiles
from bench.types import Categories, Panoptic, Prediction, SegmentInfo

__all__ = ["FusionSpec", "ImageGeometry", "fuse", "postprocess"]

Where = Literal["auto", "cpu", "device"]

# One image at a time on a device, since each takes a share of its free memory.
_ON_DEVICE = Lock()


def postprocess(
    class_logits: Tensor,
    mask_logits: Tensor,
    geometry: ImageGeometry,
    categories: Categories,
    spec: FusionSpec,
    *,
    semantic: bool = True,
    where: Where = "auto",
) -> Prediction:
    """Return the segments of (Q, C + 1) class and (Q, h, w) mask logits of one image, and its semantic map if asked.

    Class index i is `categories.items[i]`, the last column is "no object". Logits may be of any float type. A segment's
    `source_id` is the id that the rule assigns. Raise UsageError for a rule without queries.

    "cpu" brings the logits to the CPU, where tiles save most of the work and move no pixel. "device" computes whole
    maps where the logits are, and brings back ids and segments; another processor rounds differently, which moves a
    pixel here and there. "auto" is "cpu" for logits on the CPU and "device" for all others.
    """
    _check_rule(spec)
    check_shapes(class_logits, mask_logits, len(categories))
    if where == "cpu":
        class_logits, mask_logits = class_logits.cpu(), mask_logits.cpu()
    on_cpu = mask_logits.device.type == "cpu"
    by_tiles = where != "device" and on_cpu
    with torch.no_grad(), single_threaded(), nullcontext() if on_cpu else _ON_DEVICE:
        known = class_probabilities(class_logits)
        kept = select(known, mask_logits, spec.score_threshold)
        if semantic:
            check_finite(mask_logits, "mask")
            mask_logits = mask_logits.to(torch.float32)
        tiles = MaskTiles(mask_logits, geometry) if by_tiles else None
        index = None
        if semantic:  # first, so that fusion shares the bounds of all masks
            index = tiled_semantic(known, tiles)[0] if tiles else plain_semantic(known, mask_logits, geometry)
        panoptic = _panoptic(kept, geometry, categories, spec, tiles)
        return Prediction(panoptic, None if index is None else category_ids(index, categories))


def fuse(
    class_logits: Tensor, mask_logits: Tensor, geometry: ImageGeometry, categories: Categories, spec: FusionSpec
) -> Panoptic:
    """Return the segments of `postprocess` alone."""
    return postprocess(class_logits, mask_logits, geometry, categories, spec, semantic=False).panoptic


def _check_rule(spec: FusionSpec) -> None:
    if spec.rule == "efficientps":
        raise UsageError("the fusion rule efficientps is for models of instances; a query model takes another preset")
    if spec.rule in ("framework", "none"):
        raise UsageError(f"fusion preset {spec.rule!r} is for adapters that fuse themselves; name another")


def _panoptic(
    kept: SelectedQueries, geometry: ImageGeometry, categories: Categories, spec: FusionSpec, tiles: MaskTiles | None
) -> Panoptic:
    """Apply a rule: by the tiles of all masks where the rule allows it, by whole maps if they are None."""
    if not kept.labels:
        return _void(geometry)
    if spec.rule == "hf":
        return _hf(kept, geometry, categories, spec, assign_pixels if tiles else assign_on_device)
    if spec.rule == "detr":
        return _detr(kept, geometry, categories, spec)
    if tiles is None:
        masks, size = probabilities(kept.masks, geometry), geometry.target_size
        result = assign_on_device(masks, kept.scores, size, spec.mask_threshold, weigh_first=False)
    else:
        result = assign_by_tiles(tiles.of(kept.queries, kept.masks), kept.scores, spec.mask_threshold)[0]
    return _maskformer(kept, result, categories, spec)


def _void(geometry: ImageGeometry) -> Panoptic:
    return Panoptic(np.zeros(geometry.target_size, dtype=np.int32), ())


def _infos(kept: SelectedQueries, chosen: Sequence[int], categories: Categories, first: int) -> tuple[SegmentInfo, ...]:
    """Return the entries of the chosen queries, with ids that count from `first`."""
    scores = kept.scores.tolist()
    return tuple(
        SegmentInfo(categories.ids[kept.labels[k]], score=scores[k], source_id=i) for i, k in enumerate(chosen, first)
    )


def _maskformer(kept: SelectedQueries, result: PixelAssignment, categories: Categories, spec: FusionSpec) -> Panoptic:
    """Apply the rule of Mask2Former (arXiv 2112.01527) or MaskFormer (2107.06278).

    A pixel whose winner has a mask probability below the threshold is void in Mask2Former and the winner's in
    MaskFormer. In both the overlap test counts such pixels as won.
    """
    # Mask2Former intersects the won pixels with mask >= threshold and shows what is left; MaskFormer shows all that
    # were won.
    shown = result.area[:, 1] if spec.rule == "mask2former" else result.area.sum(1)
    ids = np.zeros((len(kept.labels), 2), dtype=np.int32)
    chosen: list[int] = []  # the query of each segment
    stuff: dict[int, int] = {}  # class index → id of its one segment
    for k, label in enumerate(kept.labels):
        if not shown[k] or not _passes(result, k, spec):
            continue
        # Stuff of one class is one segment, as in COCO; its score is that of the first query.
        merged = stuff.get(label)
        if merged is None:
            chosen.append(k)
            if not categories.isthing[label]:
                stuff[label] = len(chosen)
        ids[k] = merged or len(chosen)
    if spec.rule == "mask2former":
        ids[:, 0] = 0
    return Panoptic(fill_ids(ids, result.code), _infos(kept, chosen, categories, 1))


def _passes(result: PixelAssignment, k: int, spec: FusionSpec) -> bool:
    won = int(result.area[k].sum())
    # The authors drop a query if the quotient is below the threshold: `>=` here, `>` in transformers.
    return result.extent[k] > 0 and won / result.extent[k] >= spec.overlap_threshold


def _detr(kept: SelectedQueries, geometry: ImageGeometry, categories: Categories, spec: FusionSpec) -> Panoptic:
    winner, alive = detr_segments(kept, geometry, categories.isthing, spec.min_area_px)
    # DETR numbers its segments from 0, so that 0 is no void in its map; dense ids begin at 1.
    return Panoptic(winner + np.int32(1), _infos(kept, alive, categories, 0)) if alive else _void(geometry)


def _hf(
    kept: SelectedQueries, geometry: ImageGeometry, categories: Categories, spec: FusionSpec, assign: Assign
) -> Panoptic:
    """Read the map and list of transformers as panopticapi does: of entries with one id, the last counts."""
    stuff = np.flatnonzero(~categories.isthing).tolist() if spec.fuse_stuff else []
    id_map, segments = hf_segments(kept, geometry.target_size, stuff, spec, assign)
    infos = {s.id: SegmentInfo(categories.ids[s.label_id], score=s.score) for s in segments}
    return Panoptic.from_ids(id_map.numpy(), infos) if infos else _void(geometry)
