"""The operators against slow restatements of their definitions, and against torchvision's where that works."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from bench.adapters.efficientps import ops  # noqa: E402

needs_torchvision = pytest.mark.skipif(ops.TORCHVISION is None, reason="torchvision is not here or does not fit torch")


def some_boxes(n: int, seed: int, size: float = 60.0):
    rng = torch.Generator().manual_seed(seed)
    low = torch.rand(n, 2, generator=rng) * size - 5
    return torch.cat([low, low + torch.rand(n, 2, generator=rng) * size / 2], 1), torch.rand(n, generator=rng)


def slow_iou(a, b) -> float:
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def test_iou_is_that_of_every_pair() -> None:
    a, b = some_boxes(7, 0)[0], some_boxes(5, 1)[0]
    expected = [[slow_iou(p, q) for q in b.tolist()] for p in a.tolist()]
    torch.testing.assert_close(ops.pair_iou(a, b), torch.tensor(expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("threshold", [0.1, 0.3, 0.5])
def test_nms_keeps_what_the_definition_keeps(threshold: float) -> None:
    boxes, scores = some_boxes(60, 2)
    scores[10] = scores[20]
    kept: list[int] = []
    for i in sorted(range(60), key=lambda i: (-float(scores[i]), i)):
        if all(slow_iou(boxes[i].tolist(), boxes[k].tolist()) <= threshold for k in kept):
            kept.append(i)
    assert 5 < len(kept) < 60
    assert ops.plain_nms(boxes, scores, threshold).tolist() == kept


def test_groups_do_not_meet() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [-5, -5, 5, 5]])
    scores = torch.tensor([0.5, 0.6, 0.4])
    assert ops.grouped_nms(boxes, scores, torch.tensor([0, 1, 0]), 0.1).tolist() == [1, 0]
    assert ops.grouped_nms(boxes[:0], scores[:0], torch.zeros(0), 0.1).tolist() == []


def slow_roi_align(x: np.ndarray, roi: list[float], cells: int, scale: float, sampling: int) -> np.ndarray:
    """Point by point: (C, H, W) → (C, cells, cells)."""
    channels, height, width = x.shape
    x0, y0, x1, y1 = (v * scale - 0.5 for v in roi)
    out = np.zeros((channels, cells, cells))
    for i, j, di, dj in np.ndindex(cells, cells, sampling, sampling):
        y = y0 + (y1 - y0) * (i + (di + 0.5) / sampling) / cells
        c = x0 + (x1 - x0) * (j + (dj + 0.5) / sampling) / cells
        if y < -1 or y > height or c < -1 or c > width:
            continue
        y, c = min(max(y, 0), height - 1), min(max(c, 0), width - 1)
        top, left = int(y), int(c)
        below, right = min(top + 1, height - 1), min(left + 1, width - 1)
        fy, fx = y - top, c - left
        value = (1 - fy) * ((1 - fx) * x[:, top, left] + fx * x[:, top, right])
        out[:, i, j] += value + fy * ((1 - fx) * x[:, below, left] + fx * x[:, below, right])
    return out / sampling**2


@pytest.mark.parametrize("sampling", [1, 2])
def test_roi_align_is_the_mean_of_its_points(sampling: int) -> None:
    x = torch.randn(2, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    boxes = some_boxes(8, 3, 50.0)[0]
    rois = torch.cat([torch.tensor([[1.0], [0], [0], [1], [1], [0], [1], [0]]), boxes], 1)
    ours = ops.plain_roi_align(x, rois, 4, 0.25, sampling)
    for k, row in enumerate(rois.tolist()):
        expected = slow_roi_align(x[int(row[0])].numpy(), row[1:], 4, 0.25, sampling)
        np.testing.assert_allclose(ours[k].numpy(), expected, atol=1e-4)


def test_roi_align_of_nothing_has_a_gradient() -> None:
    x = torch.ones(1, 2, 4, 4, requires_grad=True)
    pooled = ops.plain_roi_align(x, torch.zeros(0, 5), 3, 0.25, 1)
    assert pooled.shape == (0, 2, 3, 3)
    pooled.sum().backward()


@needs_torchvision
def test_plain_and_torchvision_agree() -> None:
    boxes, scores = some_boxes(200, 4, 200.0)
    for threshold in (0.3, 0.7):
        assert torch.equal(ops.plain_nms(boxes, scores, threshold), ops.nms(boxes, scores, threshold))
    x = torch.randn(2, 8, 40, 50)
    rois = torch.cat([torch.arange(200).remainder(2)[:, None].float(), boxes], 1)
    for sampling in (1, 2):
        plain, theirs = (f(x, rois, 7, 0.25, sampling) for f in (ops.plain_roi_align, ops.roi_align))
        torch.testing.assert_close(plain, theirs, rtol=0, atol=1e-3)
