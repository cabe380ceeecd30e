"""Weights and an image by a formula, and the logits that a network has of it.

Each tensor follows from its name and shape, so that a checkpoint need not be stored.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

KEPT = ("attn_mask_probs",)  # a probability of masking: anything but 1 draws at random in every forward pass

TASK = [49406, 518, 10549, 533, 46711, 13, 49407]  # "the task is panoptic" in the words of CLIP
QUERIES = ("query_position_embeddings.weight", "queries_embedder.weight", "queries_features.weight")


def formula_tensor(name: str, shape: Sequence[int]) -> NDArray[np.float32]:
    """Return the tensor of a name: matrices shrink what goes through a little, norms are near 1, biases near 0.

    RandomState's stream is the same in every version of numpy.
    """
    if name.endswith(KEPT):
        return np.ones(shape, dtype=np.float32)
    noise = np.asarray(np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape)), np.float32)
    leaf = name.rpartition(".")[2]
    if leaf == "running_var":
        return 1 + 0.2 * np.abs(noise)
    if name == "query.weight" or name.endswith(QUERIES):  # far from each other, so that each attends to something else
        return 3 * noise
    if len(shape) > 1:
        noise *= 8 if "bbox_attention" in name else 0.7  # DETR's masks differ by where it looks
        return noise / np.float32(np.sqrt(np.prod(shape[1:])))
    return np.asarray(0.05 * noise if leaf in ("bias", "running_mean") else 1 + 0.05 * noise, np.float32)


def position_index(positions: int) -> NDArray[np.int64]:
    """Return Swin's index of relative positions, (w², w²), as old files hold it for each window of w² positions."""
    side = round(positions**0.5)
    where = np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij")).reshape(2, -1)
    rows, columns = where[:, :, None] - where[:, None, :] + side - 1
    return np.asarray(rows * (2 * side - 1) + columns, np.int64)


def formula_pixels(height: int, width: int) -> NDArray[np.float32]:
    """Return the image that the logits are of, (1, 3, H, W)."""
    return np.random.RandomState(0).standard_normal((1, 3, height, width)).astype(np.float32)


def forward(model: Any, config: Mapping[str, Any], size: tuple[int, int]) -> dict[str, Any]:
    """Return class and mask logits of the formula's image, (1, Q, C + 1) and (1, Q, h, w)."""
    import torch

    more: dict[str, Any] = {}
    if config["model_type"] == "oneformer":
        more["task_inputs"] = torch.tensor([[*TASK, *[0] * (77 - len(TASK))]])
    if config["model_type"] == "detr":
        more["pixel_mask"] = torch.ones(1, *size, dtype=torch.long)
    with torch.inference_mode():
        out = model(pixel_values=torch.from_numpy(formula_pixels(*size)), **more)
    detr = ("logits", "pred_masks") if config["model_type"] == "detr" else None
    names = detr or ("class_queries_logits", "masks_queries_logits")
    return {kind: getattr(out, name).numpy() for kind, name in zip(("classes", "masks"), names, strict=True)}
