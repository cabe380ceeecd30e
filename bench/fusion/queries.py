"""Class and mask logits of a query model → Panoptic, by the rule of a named preset.

The rules reproduce the authors' code: Mask2Former and MaskFormer (`panoptic_inference`), DETR (`PostProcessPanoptic`)
and transformers (`post_process_panoptic_segmentation`).
"""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.errors import UsageError
from bench.fusion.detr import detr_segments
from bench.fusion.hf import hf_segments
from bench.fusion.logits import (
    ImageGeometry,
    PixelAssignment,
    SelectedQueries,
    assign_pixels,
    check_shapes,
    fill_ids,
    select,
    single_threaded,
    to_target,
)
from bench.fusion.presets import FusionSpec
from bench.types import Categories, Panoptic, SegmentInfo

__all__ = ["FusionSpec", "ImageGeometry", "fuse"]


def fuse(
    class_logits: Tensor, mask_logits: Tensor, geometry: ImageGeometry, categories: Categories, spec: FusionSpec
) -> Panoptic:
    """Fuse (Q, C + 1) class and (Q, h, w) mask logits of one image to segments at the target size.

    Class index i is `categories.items[i]`, the last column is "no object". Logits may be on any device and of any float
    type. A segment's `source_id` is the id that the rule assigns. Raise UsageError for a rule without queries.
    """
    if spec.rule == "efficientps":
        raise UsageError("the fusion rule efficientps is for models of instances; a query model takes another preset")
    if spec.rule in ("framework", "none"):
        raise UsageError(f"fusion preset {spec.rule!r} is for adapters that fuse themselves; name another")
    check_shapes(class_logits, mask_logits, len(categories))
    with torch.no_grad(), single_threaded():
        if spec.rule == "hf":
            return _hf(class_logits, mask_logits, geometry, categories, spec)
        kept = select(class_logits, mask_logits, spec.score_threshold)
        if not kept.labels:
            return _void(geometry)
        if spec.rule == "detr":
            return _detr(kept, geometry, categories, spec)
        return _maskformer(kept, geometry, categories, spec)


def _void(geometry: ImageGeometry) -> Panoptic:
    return Panoptic(np.zeros(geometry.target_size, dtype=np.int32), ())


def _info(kept: SelectedQueries, k: int, categories: Categories, source_id: int) -> SegmentInfo:
    return SegmentInfo(categories.ids[kept.labels[k]], score=float(kept.scores[k]), source_id=source_id)


def _maskformer(kept: SelectedQueries, geometry: ImageGeometry, categories: Categories, spec: FusionSpec) -> Panoptic:
    """Apply the rule of Mask2Former (arXiv 2112.01527) or MaskFormer (2107.06278).

    A pixel whose winner has a mask probability below the threshold is void in Mask2Former and the winner's in
    MaskFormer. In both the overlap test counts such pixels as won.
    """
    masks = (to_target(mask, geometry).sigmoid() for mask in kept.masks)
    size = geometry.target_size
    result = assign_pixels(masks, kept.scores, size, spec.mask_threshold, weigh_first=False)
    # Mask2Former intersects the won pixels with mask >= threshold and shows what is left; MaskFormer shows all that
    # were won.
    shown = result.area[:, 1] if spec.rule == "mask2former" else result.area.sum(1)
    ids = np.zeros((len(kept.labels), 2), dtype=np.int32)
    infos: list[SegmentInfo] = []
    stuff: dict[int, int] = {}  # class index → id of its one segment
    for k, label in enumerate(kept.labels):
        if not shown[k] or not _passes(result, k, spec):
            continue
        # Stuff of one class is one segment, as in COCO; its score is that of the first query.
        merged = stuff.get(label)
        if merged is None:
            infos.append(_info(kept, k, categories, len(infos) + 1))
            if not categories.isthing[label]:
                stuff[label] = len(infos)
        ids[k] = merged or len(infos)
    if spec.rule == "mask2former":
        ids[:, 0] = 0
    return Panoptic(fill_ids(ids, result.code), tuple(infos))


def _passes(result: PixelAssignment, k: int, spec: FusionSpec) -> bool:
    won = int(result.area[k].sum())
    # The authors drop a query if the quotient is below the threshold: `>=` here, `>` in transformers.
    return result.extent[k] > 0 and won / result.extent[k] >= spec.overlap_threshold


def _detr(kept: SelectedQueries, geometry: ImageGeometry, categories: Categories, spec: FusionSpec) -> Panoptic:
    winner, alive = detr_segments(kept, geometry, categories.isthing, spec.min_area_px)
    infos = tuple(_info(kept, k, categories, source_id) for source_id, k in enumerate(alive))
    # DETR numbers its segments from 0, so that 0 is no void in its map; dense ids begin at 1.
    return Panoptic(winner + np.int32(1), infos) if infos else _void(geometry)


def _hf(
    class_logits: Tensor, mask_logits: Tensor, geometry: ImageGeometry, categories: Categories, spec: FusionSpec
) -> Panoptic:
    """Read the map and list of transformers as panopticapi does: of entries with one id, the last counts."""
    stuff = np.flatnonzero(~categories.isthing).tolist() if spec.fuse_stuff else []
    id_map, segments = hf_segments(class_logits, mask_logits, geometry.target_size, stuff, spec)
    infos = {s.id: SegmentInfo(categories.ids[s.label_id], score=s.score) for s in segments}
    return Panoptic.from_ids(id_map.numpy(), infos) if infos else _void(geometry)
