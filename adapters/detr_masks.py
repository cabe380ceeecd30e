"""DETR's mask head, some queries at a time.

Every query takes a copy of the image's features, 80 MB and more at 800×1067: a hundred at once need 9 GB.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

AT_ONCE = 8  # queries, of all images of a batch together


def in_parts(head: Any, most: int = AT_ONCE) -> None:
    """Makes a `DetrMaskHeadSmallConv` take at most `most` queries at once, and at least one of each image.

    It treats each query for itself, so its results stay what they were, but for the last bits where torch chooses
    another algorithm for fewer queries.
    """
    import torch

    whole = head.forward

    def forward(features: Any, attention_masks: Any, fpn_features: Sequence[Any]) -> Any:
        images = len(attention_masks)
        parts = [
            whole(features, some, fpn_features).unflatten(0, some.shape[:2])
            for some in attention_masks.split(max(1, most // images), dim=1)
        ]
        return torch.cat(parts, dim=1).flatten(0, 1)

    head.forward = forward
