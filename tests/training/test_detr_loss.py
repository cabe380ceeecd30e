import math

import pytest
import torch

from bench.training.data.batches import Target
from bench.training.losses.detr import attention_term, box_terms, giou, mask_terms, match
from bench.training.recipe import LossSpec

BOXES = torch.tensor([[0.25, 0.25, 0.5, 0.5], [0.75, 0.75, 0.5, 0.5]])
INDEX = torch.tensor([0] * 8 + [1] * 6 + [-1] * 2)  # (4, 4) cells
TARGET = Target(INDEX, torch.tensor([2, 0]), BOXES)


def box(x0, y0, x1, y1):
    return torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0])


@pytest.mark.parametrize(
    ("other", "value"),
    [(box(0, 0, 1, 1), 1.0), (box(0, 0, 1, 0.5), 0.5), (box(1, 0, 2, 1), 0.0), (box(2, 0, 3, 1), -1 / 3)],
)
def test_giou_of_known_boxes(other, value):
    assert giou(box(0, 0, 1, 1), other).item() == pytest.approx(value)


def perfect():
    """Query 2 predicts target 0, query 0 target 1."""
    classes, boxes = torch.zeros(1, 3, 4), torch.full((1, 3, 4), 0.1)
    classes[0, 2, 2] = classes[0, 0, 0] = classes[0, 1, 3] = 20.0
    boxes[0, 2], boxes[0, 0] = BOXES
    return classes, boxes


def test_a_perfect_prediction_costs_nothing_and_is_matched():
    classes, boxes = perfect()
    terms, matched = box_terms([(classes, boxes)], [TARGET], LossSpec(), torch.ones(4))
    assert sum(terms.values()).item() < 1e-5
    assert dict(zip(matched[0][1].tolist(), matched[0][0].tolist(), strict=True)) == {0: 2, 1: 0}


def test_a_box_beside_its_target_costs_and_every_layer_counts():
    classes, boxes = perfect()
    off = boxes.clone()
    off[0, 2, 0] += 0.1
    terms, _ = box_terms([(classes, off), (classes, boxes)], [TARGET], LossSpec(), torch.ones(4))
    assert terms["box"].item() == pytest.approx(5.0 * 0.1 / 2, rel=1e-4)
    assert terms["giou"].item() > 0.1


def test_the_box_decides_between_queries_of_one_class():
    classes = torch.zeros(3, 4)
    queries, targets = match(classes, torch.stack([BOXES[1], BOXES[0], BOXES[0] * 0.5]), TARGET, LossSpec())
    assert dict(zip(targets.tolist(), queries.tolist(), strict=True)) == {0: 1, 1: 0}


def test_masks_cost_where_they_are_wrong_but_not_in_void():
    matched = [(torch.tensor([2, 0]), torch.tensor([0, 1]))]
    right = torch.stack([(INDEX == 0).float(), (INDEX == 1).float()]).view(1, 2, 4, 4) * 40 - 20
    right.view(1, 2, 16)[..., INDEX == -1] = 20.0
    assert sum(mask_terms(right, [TARGET], matched, LossSpec()).values()).item() < 1e-4
    assert sum(mask_terms(-right, [TARGET], matched, LossSpec()).values()).item() > 5


def test_nothing_matched_still_has_a_gradient():
    masks = torch.zeros(1, 1, 4, 4, requires_grad=True)
    none = [(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))]
    terms = mask_terms(masks, [TARGET], none, LossSpec())
    sum(terms.values()).backward()
    assert masks.grad.abs().sum() == 0


def test_attention_costs_by_the_share_that_misses_its_target():
    matched = [(torch.tensor([1, 0]), torch.tensor([0, 1]))]
    here = torch.zeros(1, 2, 2, 2, 2)  # two pairs, two heads; targets 0 and 1 fill the upper and the lower row
    here[0, 0, :, 0] = 0.25
    here[0, 1, :, 1] = 0.25
    assert attention_term(here, [TARGET], matched, (4, 4)).item() == pytest.approx(-math.log(1.5 / 2) / 2)
    here[0, 0, :, 0] = 0.125
    here[0, 0, :, 1] = 0.125
    assert attention_term(here, [TARGET], matched, (4, 4)).item() == pytest.approx(-math.log(0.5 * 1.5 / 2) / 2)
    nothing = [(torch.zeros(0, dtype=torch.int64), torch.zeros(0, dtype=torch.int64))]
    assert attention_term(here.requires_grad_(), [TARGET], nothing, (4, 4)).item() == 0
