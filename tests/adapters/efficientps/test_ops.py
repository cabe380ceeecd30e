"""Operators of EfficientPS: groups, gradients, and the plain ones against torchvision's where that works."""

import pytest

torch = pytest.importorskip("torch")

from bench.adapters import torch_ops  # noqa: E402
from bench.adapters.efficientps import ops  # noqa: E402

needs_torchvision = pytest.mark.skipif(ops.OPS is torch_ops, reason="torchvision is not here or does not fit torch")


def test_groups_do_not_meet() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 10], [-5, -5, 5, 5]])
    scores = torch.tensor([0.5, 0.6, 0.4])
    assert ops.grouped_nms(boxes, scores, torch.tensor([0, 1, 0]), 0.1).tolist() == [1, 0]
    assert ops.grouped_nms(boxes[:0], scores[:0], torch.zeros(0), 0.1).tolist() == []


def test_of_equal_scores_the_first_is_kept() -> None:
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 11], [20, 20, 30, 30]])
    assert torch_ops.nms(boxes, torch.tensor([0.5, 0.5, 0.7]), 0.3).tolist() == [2, 0]


def test_iou_of_two_empty_boxes_is_0() -> None:
    boxes = torch.tensor([[5.0, 5, 5, 5], [0, 0, 10, 10]])
    torch.testing.assert_close(torch_ops.pair_iou(boxes, boxes), torch.tensor([[0.0, 0], [0, 1]]))


def test_roi_align_of_nothing_has_a_gradient() -> None:
    x = torch.ones(1, 2, 4, 4, requires_grad=True)
    pooled = torch_ops.roi_align(x, torch.zeros(0, 5), (3, 3), 0.25, 1, True)
    assert pooled.shape == (0, 2, 3, 3)
    pooled.sum().backward()


@needs_torchvision
def test_plain_and_torchvision_agree() -> None:
    low = torch.rand(200, 2, generator=torch.Generator().manual_seed(4)) * 200 - 5
    boxes = torch.cat([low, low + torch.rand(200, 2) * 100], 1)
    scores = torch.rand(200)
    for threshold in (0.3, 0.7):
        assert torch.equal(torch_ops.nms(boxes, scores, threshold), ops.OPS.nms(boxes, scores, threshold))
    x = torch.randn(2, 8, 40, 50)
    rois = torch.cat([torch.arange(200).remainder(2)[:, None].float(), boxes], 1)
    for sampling in (1, 2):
        plain, theirs = (f.roi_align(x, rois, (7, 7), 0.25, sampling, True) for f in (torch_ops, ops.OPS))
        torch.testing.assert_close(plain, theirs, rtol=0, atol=1e-3)
