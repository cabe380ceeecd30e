"""Memory limit for DETR's mask head, by processing few queries at a time.

Each query copies the image's features, 80 MB and more at 800×1067, so that 100 queries at once need 9 GB.
"""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

# Queries of all images of a batch together: about 0.7 GB at 800 x 1067.
AT_ONCE = 8


def in_parts(head: Any, most: int = AT_ONCE) -> None:
    """Make a `DetrMaskHeadSmallConv` process at most `most` queries at once, and at least one per image.

    Queries are independent, so results are equal except for the last bits, where torch selects another algorithm.
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
