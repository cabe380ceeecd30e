"""nms and roi_align against their definitions, written out in loops."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from bench.adapters import torch_ops


def iou(a: list[float], b: list[float], offset: int) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0]) + offset
    height = min(a[3], b[3]) - max(a[1], b[1]) + offset
    shared = max(width, 0.0) * max(height, 0.0)
    areas = [(box[2] - box[0] + offset) * (box[3] - box[1] + offset) for box in (a, b)]
    return shared / (sum(areas) - shared)


def boxes(count: int, seed: int) -> tuple[Any, Any]:
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand((count, 2), generator=generator, dtype=torch.float64) * 60
    size = torch.rand((count, 2), generator=generator, dtype=torch.float64) * 30 + 1
    return torch.cat([corners, corners + size], 1), torch.rand(count, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("offset", [0, 1])
@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.7])
def test_nms_is_greedy_suppression(threshold: float, offset: int) -> None:
    corners, scores = boxes(80, int(10 * threshold))
    stays: list[int] = []
    for i in scores.argsort(descending=True).tolist():
        if all(iou(corners[i].tolist(), corners[j].tolist(), offset) <= threshold for j in stays):
            stays.append(i)
    assert torch_ops.nms(corners, scores, threshold, offset).tolist() == stays
    assert 1 < len(stays) < 80


def test_nms_of_nothing_is_nothing() -> None:
    assert torch_ops.nms(torch.zeros(0, 4), torch.zeros(0), 0.5).tolist() == []
    assert torch_ops.batched_nms(torch.zeros(0, 4), torch.zeros(0), torch.zeros(0), 0.5).tolist() == []


def test_batched_nms_keeps_groups_apart() -> None:
    corners, scores = boxes(60, 5)
    groups = torch.arange(60) % 3
    stays = {
        int(members[i])
        for group in range(3)
        for members in [(groups == group).nonzero()[:, 0]]
        for i in torch_ops.nms(corners[members], scores[members], 0.3).tolist()
    }
    found = torch_ops.batched_nms(corners, scores, groups, 0.3).tolist()
    assert set(found) == stays
    assert scores[found].tolist() == sorted(scores[found].tolist(), reverse=True)


def sample(feature: Any, y: float, x: float) -> Any:
    """Bilinear value of (C, H, W) at one point; more than a pixel outside is 0."""
    height, width = feature.shape[1:]
    if not (-1 <= y <= height and -1 <= x <= width):
        return torch.zeros(feature.shape[0], dtype=feature.dtype)
    y, x = min(max(y, 0.0), height - 1), min(max(x, 0.0), width - 1)
    top, left = int(y), int(x)
    bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
    v, u = y - top, x - left
    return (
        feature[:, top, left] * (1 - v) * (1 - u) + feature[:, top, right] * (1 - v) * u
        + feature[:, bottom, left] * v * (1 - u) + feature[:, bottom, right] * v * u
    )  # fmt: skip


def written_out(features: Any, rois: Any, out: int, scale: float, ratio: int, aligned: bool) -> Any:
    result = torch.zeros(len(rois), features.shape[1], out, out, dtype=features.dtype)
    for n, (index, *corners) in enumerate(rois.tolist()):
        x0, y0, x1, y1 = (corner * scale - (0.5 if aligned else 0.0) for corner in corners)
        width, height = (x1 - x0, y1 - y0) if aligned else (max(x1 - x0, 1.0), max(y1 - y0, 1.0))
        rows = ratio if ratio > 0 else math.ceil(height / out)
        columns = ratio if ratio > 0 else math.ceil(width / out)
        for i in range(out):
            for j in range(out):
                ys = [y0 + height / out * (i + (k + 0.5) / rows) for k in range(rows)]
                xs = [x0 + width / out * (j + (k + 0.5) / columns) for k in range(columns)]
                values = [sample(features[int(index)], y, x) for y in ys for x in xs]
                result[n, :, i, j] = sum(values) / max(len(values), 1)
    return result


@pytest.mark.parametrize("aligned", [True, False])
@pytest.mark.parametrize("ratio", [0, 2])
def test_roi_align_is_the_average_of_bilinear_samples(ratio: int, aligned: bool) -> None:
    generator = torch.Generator().manual_seed(ratio)
    features = torch.rand((2, 3, 9, 12), generator=generator, dtype=torch.float64)
    corners, _ = boxes(12, 7)
    corners[0] = torch.tensor([-30.0, -20.0, 90.0, 70.0])  # far outside on every side
    corners[1] = torch.tensor([5.0, 5.0, 5.0, 5.0])
    rois = torch.cat([(torch.arange(12) % 2)[:, None].double(), corners], 1)
    found = torch_ops.roi_align(features, rois, (3, 3), 0.25, ratio, aligned)
    expected = written_out(features, rois, 3, 0.25, ratio, aligned)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    assert float(expected.abs().max()) > 0.5
