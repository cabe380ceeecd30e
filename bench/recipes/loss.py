"""The set loss of Mask2Former (arXiv 2112.01527): match queries to targets, then class, mask and dice terms.

It differs from the paper where a CPU asks for it. Targets are one map of indices at the resolution of the
mask logits, not a mask each, so that a point is a cell and is looked up, not interpolated; the candidates for
uncertain points are shared by a batch; matching looks at points drawn half uniformly and half evenly over the
targets, so that small ones are seen. Ignored cells enter no mask term.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot, softplus

from bench.recipes.recipe import LossSpec
from bench.recipes.targets import Cells

Layer = tuple[Tensor, Tensor]  # class logits (B, Q, C + 1), mask logits (B, Q, h, w)
Matched = list[tuple[Tensor, Tensor]]  # for each image: queries, targets, int64


def set_loss(layers: Sequence[Layer], targets: Sequence[Cells], spec: LossSpec) -> Tensor:
    """The sum over the decoder's layers, the last of which is the prediction."""
    indices = [torch.from_numpy(cells.index) for cells in targets]
    classes = [torch.from_numpy(cells.classes) for cells in targets]
    points = [_points(i, len(c), spec.match_points) for i, c in zip(indices, classes, strict=True)]
    terms = []
    for class_logits, mask_logits in layers:
        masks = mask_logits.flatten(2)  # (B, Q, P)
        matched = [match(class_logits[b], masks[b], indices[b], classes[b], points[b], spec) for b in range(len(masks))]
        terms.append(
            spec.class_weight * class_loss(class_logits, classes, matched, spec.no_object_weight)
            + mask_loss(masks, indices, matched, spec)
        )
    return torch.stack(terms).sum()


def _points(index: Tensor, count: int, points: int) -> Tensor:
    """(K,) cells that belong to a target: half drawn uniformly, half evenly over the targets."""
    if count == 0:
        return torch.zeros(0, dtype=torch.int64)
    valid = index >= 0
    areas = torch.bincount(index[valid], minlength=count).float()
    weight = 1 / areas.sum() + 1 / (count * areas[index.clamp_min(0)])
    return torch.multinomial(weight * valid, points, replacement=True)


@torch.no_grad()
def match(
    class_logits: Tensor, masks: Tensor, index: Tensor, classes: Tensor, points: Tensor, spec: LossSpec
) -> tuple[Tensor, Tensor]:
    """The cheapest assignment of queries to targets of one image: (n,) queries and (n,) targets.

    `class_logits` (Q, C + 1), `masks` (Q, P) logits, `index` (P,), `classes` (T,), `points` (K,).
    """
    if len(classes) == 0:
        return torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64)
    logits = masks[:, points]  # (Q, K)
    truth = one_hot(index[points], len(classes)).float()  # (K, T)
    bce = (softplus(logits).sum(1, keepdim=True) - logits @ truth) / len(points)
    inside = logits.sigmoid()
    dice = 1 - (2 * inside @ truth + 1) / (inside.sum(1, keepdim=True) + truth.sum(0) + 1)
    likely = class_logits.softmax(-1)[:, classes]
    cost = spec.mask_weight * bce + spec.dice_weight * dice - spec.class_weight * likely
    queries, chosen = linear_sum_assignment(torch.nan_to_num(cost, nan=1e6).numpy())
    return torch.from_numpy(queries), torch.from_numpy(chosen)


def class_loss(class_logits: Tensor, classes: Sequence[Tensor], matched: Matched, no_object_weight: float) -> Tensor:
    """Cross entropy of every query; the unmatched ones are "no object", the last class."""
    last = class_logits.shape[-1] - 1
    wanted = torch.full(class_logits.shape[:2], last, dtype=torch.int64)
    for b, (queries, chosen) in enumerate(matched):
        wanted[b, queries] = classes[b][chosen]
    weight = torch.ones(last + 1)
    weight[last] = no_object_weight
    return cross_entropy(class_logits.flatten(0, 1), wanted.flatten(), weight=weight)


def mask_loss(masks: Tensor, indices: Sequence[Tensor], matched: Matched, spec: LossSpec) -> Tensor:
    """The weighted mask and dice terms at the points of every matched pair, averaged over the pairs."""
    cells = masks.shape[-1]
    points = cells // spec.cells_per_point
    candidates = torch.randperm(cells)[: int(spec.oversample * points)]
    logits, index, wanted = [], [], []
    for b, (queries, chosen) in enumerate(matched):
        rows = masks[b, queries]  # (n, P)
        at = uncertain(rows.detach(), candidates, points, spec.uncertain_share)
        logits.append(rows.gather(1, at))
        index.append(indices[b][at])
        wanted.append(chosen)
    return _mask_terms(torch.cat(logits), torch.cat(index), torch.cat(wanted)[:, None], spec)


def uncertain(rows: Tensor, candidates: Tensor, points: int, share: float) -> Tensor:
    """(n, `points`) cells for each row of mask logits (n, P): the least decided of the candidates, the rest
    of them at random."""
    decided = rows[:, candidates].abs()
    nearest = decided.topk(int(share * points), largest=False, sorted=False).indices
    rest = torch.randint(rows.shape[1], (len(rows), points - nearest.shape[1]))
    return torch.cat([candidates[nearest], rest], 1)


def _mask_terms(logits: Tensor, index: Tensor, wanted: Tensor, spec: LossSpec) -> Tensor:
    """`logits` and `index`, the target that each point belongs to, are (N, K); `wanted` (N, 1) targets."""
    if len(logits) == 0:
        return logits.sum()
    truth, valid = (index == wanted).float(), (index >= 0).float()
    inside = logits.sigmoid() * valid
    bce = ((softplus(logits) - logits * truth) * valid).mean(1)
    dice = 1 - (2 * (inside * truth).sum(1) + 1) / (inside.sum(1) + truth.sum(1) + 1)
    return (spec.mask_weight * bce + spec.dice_weight * dice).mean()
