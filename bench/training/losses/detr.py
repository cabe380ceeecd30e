"""Set loss of DETR (arXiv 2005.12872): matching by class and box, then class, box and mask terms."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d, binary_cross_entropy_with_logits, l1_loss

from bench.training.data.batches import Target
from bench.training.losses.set_loss import Matched, Terms, assign, class_loss, empty_match
from bench.training.recipe import LossSpec

# Of the mask term: the focal loss of arXiv 1708.02002 with its values.
FOCAL_ALPHA, FOCAL_GAMMA = 0.25, 2.0

Layer = tuple[Tensor, Tensor]  # class logits (B, Q, C + 1); boxes (B, Q, 4), centre and size as fractions


def box_terms(
    layers: Sequence[Layer], targets: Sequence[Target], spec: LossSpec, weights: Tensor
) -> tuple[Terms, Matched]:
    """Return class and box terms, summed over the decoder layers, and the matching of the last layer."""
    names: dict[str, list[Tensor]] = {"class": [], "box": [], "giou": []}
    matched: Matched = []
    for class_logits, boxes in layers:
        scores, places = class_logits.float(), boxes.float()
        matched = [match(scores[b], places[b], target, spec) for b, target in enumerate(targets)]
        names["class"].append(class_loss(scores, targets, matched, spec, weights))
        box, giou = _boxes(places, targets, matched)
        names["box"].append(spec.box_weight * box)
        names["giou"].append(spec.giou_weight * giou)
    return {name: torch.stack(values).sum() for name, values in names.items()}, matched


@torch.no_grad()
def match(class_logits: Tensor, boxes: Tensor, target: Target, spec: LossSpec) -> tuple[Tensor, Tensor]:
    """Return the cheapest assignment of queries to targets of one image: (n,) queries and (n,) targets.

    `class_logits` (Q, C + 1), `boxes` (Q, 4).
    """
    if len(target.classes) == 0:
        return empty_match(boxes.device)
    likely = class_logits.softmax(-1)[:, target.classes]
    apart = torch.cdist(boxes, target.boxes, p=1)
    alike = giou(boxes[:, None], target.boxes[None])
    return assign(spec.box_weight * apart - spec.giou_weight * alike - spec.class_weight * likely)


def _boxes(boxes: Tensor, targets: Sequence[Target], matched: Matched) -> tuple[Tensor, Tensor]:
    """Return L1 (summed over the four coordinates) and 1 - GIoU, averaged over all matched pairs."""
    ours = torch.cat([boxes[b, queries] for b, (queries, _) in enumerate(matched)])
    theirs = torch.cat([target.boxes[chosen] for target, (_, chosen) in zip(targets, matched, strict=True)])
    count = max(1, len(ours))
    return l1_loss(ours, theirs, reduction="sum") / count, (1 - giou(ours, theirs)).sum() / count


def giou(first: Tensor, second: Tensor) -> Tensor:
    """Return the generalised IoU (arXiv 1902.09630), -1..1, of (..., 4) boxes given as centre and size."""
    (a0, a1), (b0, b1) = _corners(first), _corners(second)
    inside = (torch.minimum(a1, b1) - torch.maximum(a0, b0)).clamp_min(0).prod(-1)
    union = (a1 - a0).prod(-1) + (b1 - b0).prod(-1) - inside
    around = (torch.maximum(a1, b1) - torch.minimum(a0, b0)).prod(-1)
    return inside / union.clamp_min(1e-9) - (around - union) / around.clamp_min(1e-9)


def _corners(boxes: Tensor) -> tuple[Tensor, Tensor]:
    centre, size = boxes[..., :2], boxes[..., 2:]
    return centre - size / 2, centre + size / 2


def mask_terms(masks: Tensor, targets: Sequence[Target], matched: Matched, spec: LossSpec) -> Terms:
    """Return focal and dice terms of mask logits (B, N, h, w), averaged over all matched pairs.

    The first n masks of an image belong to its n pairs. Ignored cells do not count.
    """
    pairs = [masks[b, : len(queries)].float().flatten(1) for b, (queries, _) in enumerate(matched)]
    logits = torch.cat(pairs)
    if len(logits) == 0:
        # A zero that depends on the masks, since every parameter needs a gradient in every process.
        return {"mask": masks.sum() * 0, "dice": masks.sum() * 0}
    index = torch.cat([t.index.expand(len(c), -1) for t, (_, c) in zip(targets, matched, strict=True)])
    truth = (index == torch.cat([chosen for _, chosen in matched])[:, None]).float()
    valid = (index >= 0).float()
    probability = logits.sigmoid()
    right = probability * truth + (1 - probability) * (1 - truth)
    alpha = FOCAL_ALPHA * truth + (1 - FOCAL_ALPHA) * (1 - truth)
    each = alpha * (1 - right) ** FOCAL_GAMMA * binary_cross_entropy_with_logits(logits, truth, reduction="none")
    focal = (each * valid).sum(1) / valid.sum(1).clamp_min(1)
    inside = probability * valid
    dice = 1 - (2 * (inside * truth).sum(1) + 1) / (inside.sum(1) + truth.sum(1) + 1)
    return {"mask": spec.mask_weight * focal.mean(), "dice": spec.dice_weight * dice.mean()}


def attention_term(attention: Tensor, targets: Sequence[Target], matched: Matched, grid: tuple[int, int]) -> Tensor:
    """Return the mean over pairs of -log of the share of a matched query's attention that falls on its target.

    Not part of the paper. `attention` is (B, N, heads, h, w); the first n of an image belong to its n pairs. `grid` is
    (rows, columns) of the targets' cells. A position is weighted by the area of the target in it, relative to the
    fullest position.
    """
    size = (int(attention.shape[-2]), int(attention.shape[-1]))
    shares = [attention.sum() * 0 + attention.new_zeros(0)]
    for looking, target, (_, chosen) in zip(attention, targets, matched, strict=True):
        cover = (target.index.view(1, *grid) == chosen[:, None, None]).float()
        cover = adaptive_avg_pool2d(cover, size)
        # A small target fills no position of the coarse grid; relative to its fullest one, it can still be met.
        cover = cover / cover.amax((1, 2), keepdim=True).clamp_min(1e-6)
        shares.append((looking[: len(chosen)].sum(1) * cover).sum((1, 2)))
    found = torch.cat(shares)
    return -found.clamp_min(1e-6).log().sum() / max(1, len(found))
