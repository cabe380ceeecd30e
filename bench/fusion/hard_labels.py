"""Hard label maps of a model as the logits and instances that a fusion rule takes."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.fusion.semantic_instance import Instances
from bench.types import Categories, Panoptic

# A probability of 99.8 %.
SURE = 6.0


def logits_of(semantic: NDArray[np.int32], categories: Categories) -> Tensor:
    """Convert (H, W) category ids to (C, H, W) logits, SURE or -SURE.

    Any other id is unknown: all things get 0, so the pixel becomes an instance's or void.
    """
    known = np.isin(semantic, categories.ids)
    logits = np.where(semantic[None] == np.array(categories.ids)[:, None, None], SURE, -SURE).astype(np.float32)
    # For unknown pixels things get 0 and stuff -SURE: an instance takes them, or they become void.
    logits[np.ix_(categories.isthing, *map(np.arange, semantic.shape))] += np.where(known, 0, SURE).astype(np.float32)
    return torch.from_numpy(logits)


def semantic_of(panoptic: Panoptic) -> NDArray[np.int32]:
    """Return (H, W) category ids, -1 for void."""
    ids = np.array([-1, *(segment.category_id for segment in panoptic.segments_info)], dtype=np.int32)
    return ids[panoptic.id_map]


def instances_of(panoptic: Panoptic, categories: Categories) -> Instances:
    """Return the thing segments as instances in their bounding boxes. The score is 1 if a segment has none."""
    scores, labels, boxes, masks = [], [], [], []
    for i, segment in enumerate(panoptic.segments_info, start=1):
        label = categories.index_of[segment.category_id]
        if not categories.isthing[label]:
            continue
        rows, columns = np.nonzero(panoptic.id_map == i)
        top, left, bottom, right = rows.min(), columns.min(), rows.max() + 1, columns.max() + 1
        mine = panoptic.id_map[top:bottom, left:right] == i
        scores.append(1.0 if segment.score is None else segment.score)
        labels.append(label)
        boxes.append([left, top, right, bottom])
        masks.append(torch.from_numpy(np.where(mine, SURE, -SURE).astype(np.float32)))
    box = torch.tensor(np.array(boxes, dtype=np.float32).reshape(-1, 4))
    return Instances(torch.tensor(scores), torch.tensor(labels, dtype=torch.int64), box, masks)
