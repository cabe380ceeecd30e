import numpy as np
import pytest
import torch

from bench.recipes.loss import class_loss, mask_loss, match, set_loss, uncertain
from bench.recipes.recipe import LossSpec
from bench.recipes.targets import Cells

SPEC = LossSpec(cells_per_point=1, oversample=1.0)
INDEX = np.repeat(np.array([0, 1, 2, -1], dtype=np.int64), 16)  # (64,) cells of three targets, and void
CELLS = Cells(INDEX, np.array([4, 1, 1], dtype=np.int64))


def logits(order, sure=12.0):
    """Class (1, 5, 6) and mask (1, 5, 8, 8) logits that predict target order[q] by query q, exactly."""
    classes, masks = torch.zeros(1, 5, 6), torch.full((1, 5, 64), -sure)
    classes[..., 5] = sure
    for query, target in enumerate(order):
        classes[0, query, 5], classes[0, query, CELLS.classes[target]] = 0.0, sure
        masks[0, query, torch.from_numpy(target == INDEX)] = sure
    return classes, masks.view(1, 5, 8, 8)


def test_a_perfect_prediction_costs_nothing_in_any_order():
    for order in ([0, 1, 2], [2, 0, 1]):
        torch.manual_seed(0)
        assert set_loss([logits(order)], [CELLS], SPEC).item() < 1e-3


def test_void_cells_do_not_matter():
    classes, masks = logits([0, 1, 2])
    masks.view(1, 5, 64)[..., INDEX == -1] = 12.0
    assert set_loss([(classes, masks)], [CELLS], SPEC).item() < 1e-3


@pytest.mark.parametrize("wrong", ["class", "mask"])
def test_one_wrong_query_costs(wrong):
    classes, masks = logits([0, 1, 2])
    if wrong == "class":
        classes[0, 0] = classes[0, 0].roll(1)
    else:
        masks[0, 0] = masks[0, 1]
    assert set_loss([(classes, masks)], [CELLS], SPEC).item() > 1


def test_every_layer_counts():
    good, bad = logits([0, 1, 2]), logits([0])
    assert set_loss([good, bad], [CELLS], SPEC).item() > 1
    assert set_loss([bad, good], [CELLS], SPEC).item() > 1


def test_matching_finds_the_query_of_each_target():
    classes, masks = logits([2, 0, 1])
    index, wanted = torch.from_numpy(CELLS.index), torch.from_numpy(CELLS.classes)
    queries, chosen = match(classes[0], masks[0].flatten(1), index, wanted, torch.arange(48), SPEC)
    assert dict(zip(queries.tolist(), chosen.tolist(), strict=True)) == {0: 2, 1: 0, 2: 1}


def test_an_image_without_targets_asks_for_no_object_everywhere():
    empty = Cells(np.full(64, -1, dtype=np.int64), np.zeros(0, dtype=np.int64))
    classes, masks = logits([])
    assert set_loss([(classes, masks)], [empty], SPEC).item() < 1e-3
    assert set_loss([logits([0])], [empty], SPEC).item() > 1


def test_unmatched_queries_weigh_as_much_as_asked():
    matched = [(torch.tensor([0]), torch.tensor([0]))]
    wanted = [torch.tensor([1])]
    scores = torch.tensor([[[0.0, 5.0, 0.0], [0.0, 0.0, 0.0]]])  # the matched one right, the other undecided
    costs = [class_loss(scores, wanted, matched, weight).item() for weight in (0.0, 0.1, 1.0)]
    assert costs == sorted(costs) and costs[2] > 3 * costs[1] > 0


def test_uncertain_points_are_the_least_decided():
    rows = torch.arange(-32.0, 32.0)[None] * 4
    chosen = uncertain(rows, torch.arange(64), 8, 0.75)
    assert chosen.shape == (1, 8)
    assert sorted(chosen[0, :6].tolist()) == [29, 30, 31, 32, 33, 34] or 35 in chosen[0, :6]


def test_the_loss_pulls_masks_towards_their_targets():
    masks = torch.zeros(1, 1, 64, requires_grad=True)
    matched = [(torch.tensor([0]), torch.tensor([1]))]
    mask_loss(masks, [torch.from_numpy(INDEX)], matched, SPEC).backward()
    inside, void = INDEX == 1, INDEX == -1
    assert (masks.grad[0, 0, inside] < 0).any() and (masks.grad[0, 0, inside] <= 0).all()
    assert (masks.grad[0, 0, ~inside & ~void] >= 0).all() and (masks.grad[0, 0, void] == 0).all()
