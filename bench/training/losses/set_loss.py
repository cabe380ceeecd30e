"""Set loss of Mask2Former (arXiv 2112.01527): matching of queries to targets, then class, mask and dice terms.

Differences from the paper, for speed on a CPU: targets are one index map at the resolution of the mask logits, so
points are cells and need no interpolation; candidates for uncertain points are shared by a batch; matching points are
drawn half uniformly and half evenly over the targets. Ignored cells are in no mask term.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot, softplus

from bench.errors import UsageError
from bench.io.config import did_you_mean
from bench.training.data.batches import Target
from bench.training.recipe import LossSpec
from bench.types import Categories

Layer = tuple[Tensor, Tensor]  # class logits (B, Q, C + 1), mask logits (B, Q, h, w)
Matched = list[tuple[Tensor, Tensor]]  # for each image: queries, targets, int64
Terms = dict[str, Tensor]  # weighted terms by name; the loss is their sum


def set_loss(
    layers: Sequence[Layer], targets: Sequence[Target], spec: LossSpec, weights: Tensor, generator: torch.Generator
) -> Terms:
    """Return the terms, summed over the decoder layers (the last is the prediction); `weights` is (C + 1,)."""
    points = [_points(t.index, len(t.classes), spec.match_points, generator) for t in targets]
    terms: dict[str, list[Tensor]] = {"class": [], "mask": [], "dice": []}
    for class_logits, mask_logits in layers:
        masks = mask_logits.flatten(2).float()  # (B, Q, P)
        scores = class_logits.float()
        matched = [match(scores[b], masks[b], targets[b], points[b], spec) for b in range(len(masks))]
        terms["class"].append(class_loss(scores, targets, matched, spec, weights))
        mask, dice = mask_loss(masks, targets, matched, spec, generator)
        terms["mask"].append(mask)
        terms["dice"].append(dice)
    return {name: torch.stack(values).sum() for name, values in terms.items()}


def class_weights(spec: LossSpec, categories: Categories) -> Tensor:
    """Return the (C + 1,) weights of the class term, "no object" last. Raises UsageError if a class is unknown."""
    names = [category.name for category in categories]
    for name in spec.class_weights:
        if name not in names:
            raise UsageError(f"loss.class_weights: there is no class {name!r}; {did_you_mean(name, names)}")
    return torch.tensor([*(spec.class_weights.get(name, 1.0) for name in names), spec.no_object_weight])


def _points(index: Tensor, count: int, points: int, generator: torch.Generator) -> Tensor:
    """Sample (K,) cells with a target: half uniformly, half evenly over the targets."""
    if count == 0:
        return torch.zeros(0, dtype=torch.int64, device=index.device)
    valid = index >= 0
    areas = torch.bincount(index[valid], minlength=count).float()
    # Uniform points alone would rarely meet a small target, and its queries would be matched by class only.
    weight = 1 / areas.sum() + 1 / (count * areas[index.clamp_min(0)])
    return torch.multinomial(weight * valid, points, replacement=True, generator=generator)


@torch.no_grad()
def match(class_logits: Tensor, masks: Tensor, target: Target, points: Tensor, spec: LossSpec) -> tuple[Tensor, Tensor]:
    """Return the cheapest assignment of queries to targets of one image: (n,) queries and (n,) targets.

    `class_logits` (Q, C + 1), `masks` (Q, P) logits, `points` (K,) cells.
    """
    if len(target.classes) == 0:
        return empty_match(masks.device)
    logits = masks[:, points]  # (Q, K)
    truth = one_hot(target.index[points], len(target.classes)).float()  # (K, T)
    # Cross entropy of every pair in one product: softplus(x) - x t, summed over the points.
    bce = (softplus(logits).sum(1, keepdim=True) - logits @ truth) / len(points)
    inside = logits.sigmoid()
    dice = 1 - (2 * inside @ truth + 1) / (inside.sum(1, keepdim=True) + truth.sum(0) + 1)
    likely = class_logits.softmax(-1)[:, target.classes]
    return assign(spec.mask_weight * bce + spec.dice_weight * dice - spec.class_weight * likely)


def assign(cost: Tensor) -> tuple[Tensor, Tensor]:
    """Return the cheapest pairs of rows and columns of a (Q, T) cost matrix (Hungarian algorithm)."""
    # NaN would make scipy raise; the loss that follows is not finite and names its term.
    rows, columns = linear_sum_assignment(torch.nan_to_num(cost, nan=1e6).cpu().numpy())
    return torch.from_numpy(rows).to(cost.device), torch.from_numpy(columns).to(cost.device)


def empty_match(device: torch.device) -> tuple[Tensor, Tensor]:
    empty = torch.zeros(0, dtype=torch.int64, device=device)
    return empty, empty


def class_loss(
    class_logits: Tensor, targets: Sequence[Target], matched: Matched, spec: LossSpec, weights: Tensor
) -> Tensor:
    """Return the cross entropy of all queries, focal if `focal_gamma` > 0; the unmatched are "no object", class C."""
    last = class_logits.shape[-1] - 1
    wanted = torch.full(class_logits.shape[:2], last, dtype=torch.int64, device=class_logits.device)
    for b, (queries, chosen) in enumerate(matched):
        wanted[b, queries] = targets[b].classes[chosen]
    logits, labels, weights = class_logits.flatten(0, 1), wanted.flatten(), weights.to(class_logits.device)
    if spec.focal_gamma == 0:
        return spec.class_weight * cross_entropy(logits, labels, weight=weights)
    each = cross_entropy(logits, labels, reduction="none")
    weight = weights[labels]
    focal = weight * (1 - (-each).exp()) ** spec.focal_gamma * each
    return spec.class_weight * focal.sum() / weight.sum()


def mask_loss(
    masks: Tensor, targets: Sequence[Target], matched: Matched, spec: LossSpec, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return weighted mask and dice terms at sampled points, averaged over the matched pairs."""
    cells = masks.shape[-1]
    points = cells // spec.cells_per_point
    drawn = torch.randperm(cells, generator=generator, device=masks.device)
    candidates = drawn[: int(spec.oversample * points)]
    logits, index, wanted = [], [], []
    for b, (queries, chosen) in enumerate(matched):
        rows = masks[b, queries]  # (n, P)
        at = uncertain(rows.detach(), candidates, points, spec.uncertain_share, generator)
        logits.append(rows.gather(1, at))
        index.append(targets[b].index[at])
        wanted.append(chosen)
    return _mask_terms(torch.cat(logits), torch.cat(index), torch.cat(wanted)[:, None], spec)


def uncertain(rows: Tensor, candidates: Tensor, points: int, share: float, generator: torch.Generator) -> Tensor:
    """Sample (n, `points`) cells for mask logits (n, P): the candidates with logits nearest 0, and random cells."""
    # PointRend: the logits nearest 0 are the most uncertain.
    decided = rows[:, candidates].abs()
    nearest = decided.topk(int(share * points), largest=False, sorted=False).indices
    size = (len(rows), points - nearest.shape[1])
    rest = torch.randint(rows.shape[1], size, generator=generator, device=rows.device)
    return torch.cat([candidates[nearest], rest], 1)


def _mask_terms(logits: Tensor, index: Tensor, wanted: Tensor, spec: LossSpec) -> tuple[Tensor, Tensor]:
    """Return mask and dice terms of (N, K) points: `logits`, `index` (their targets), `wanted` (N, 1) targets."""
    if len(logits) == 0:
        return logits.sum(), logits.sum()
    truth, valid = (index == wanted).float(), (index >= 0).float()
    inside = logits.sigmoid() * valid
    bce = ((softplus(logits) - logits * truth) * valid).mean(1)
    dice = 1 - (2 * (inside * truth).sum(1) + 1) / (inside.sum(1) + truth.sum(1) + 1)
    return spec.mask_weight * bce.mean(), spec.dice_weight * dice.mean()
