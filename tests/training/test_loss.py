import numpy as np
import pytest
import torch

from bench.datasets.label_spaces import load_space
from bench.errors import UsageError
from bench.training.data.batches import Target
from bench.training.losses.set_loss import class_loss, class_weights, mask_loss, match, set_loss, uncertain
from bench.training.recipe import LossSpec

SPEC = LossSpec(cells_per_point=1, oversample=1.0)
INDEX = np.repeat(np.array([0, 1, 2, -1], dtype=np.int64), 16)  # (64,) cells of three targets, and void
CELLS = Target(torch.from_numpy(INDEX), torch.tensor([4, 1, 1]), torch.zeros(3, 4))
EVEN = torch.tensor([1.0, 1.0, 1.0, 1.0, 1.0, 0.1])  # class weights, the last of "no object"


def total(layers, targets, seed=0):
    return sum(set_loss(layers, targets, SPEC, EVEN, torch.Generator().manual_seed(seed)).values()).item()


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
        assert total([logits(order)], [CELLS]) < 1e-3


def test_void_cells_do_not_matter():
    classes, masks = logits([0, 1, 2])
    masks.view(1, 5, 64)[..., INDEX == -1] = 12.0
    assert total([(classes, masks)], [CELLS]) < 1e-3


@pytest.mark.parametrize("wrong", ["class", "mask"])
def test_one_wrong_query_costs(wrong):
    classes, masks = logits([0, 1, 2])
    if wrong == "class":
        classes[0, 0] = classes[0, 0].roll(1)
    else:
        masks[0, 0] = masks[0, 1]
    assert total([(classes, masks)], [CELLS]) > 1


def test_every_layer_counts():
    good, bad = logits([0, 1, 2]), logits([0])
    assert total([good, bad], [CELLS]) > 1
    assert total([bad, good], [CELLS]) > 1


def test_matching_finds_the_query_of_each_target():
    classes, masks = logits([2, 0, 1])
    queries, chosen = match(classes[0], masks[0].flatten(1), CELLS, torch.arange(48), SPEC)
    assert dict(zip(queries.tolist(), chosen.tolist(), strict=True)) == {0: 2, 1: 0, 2: 1}


def test_an_image_without_targets_asks_for_no_object_everywhere():
    empty = Target(torch.full((64,), -1), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4))
    classes, masks = logits([])
    assert total([(classes, masks)], [empty]) < 1e-3
    assert total([logits([0])], [empty]) > 1


def test_unmatched_queries_weigh_as_much_as_asked():
    matched = [(torch.tensor([0]), torch.tensor([0]))]
    target = Target(torch.zeros(1, dtype=torch.int64), torch.tensor([1]), torch.zeros(1, 4))
    scores = torch.tensor([[[0.0, 5.0, 0.0], [0.0, 0.0, 0.0]]])  # the matched one right, the other undecided
    weights = [torch.tensor([1.0, 1.0, weight]) for weight in (0.0, 0.1, 1.0)]
    costs = [class_loss(scores, [target], matched, SPEC, weight).item() for weight in weights]
    assert costs == sorted(costs) and costs[2] > 3 * costs[1] > 0


def test_the_focal_loss_turns_to_what_is_still_wrong():
    matched = [(torch.tensor([0, 1]), torch.tensor([0, 1]))]
    target = Target(torch.zeros(1, dtype=torch.int64), torch.tensor([0, 0]), torch.zeros(2, 4))
    shares = []
    for gamma in (0.0, 2.0):
        scores = torch.tensor([[[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]]], requires_grad=True)  # right, wrong
        spec = LossSpec(focal_gamma=gamma)
        class_loss(scores, [target], matched, spec, torch.ones(3)).backward()
        right, wrong = scores.grad[0].norm(dim=1).tolist()
        shares.append(right / wrong)
    assert shares[1] < shares[0] / 4


def test_classes_weigh_what_the_recipe_says():
    space = load_space("cityscapes-19").evaluated
    weights = class_weights(LossSpec(class_weights={"rider": 3.0}), space)
    assert weights[space.index_of[25]] == 3 and weights.sum() == 18 + 3 + LossSpec().no_object_weight
    with pytest.raises(UsageError, match="'ridder'; did you mean 'rider'"):
        class_weights(LossSpec(class_weights={"ridder": 3.0}), space)


def test_uncertain_points_are_the_least_decided():
    rows = torch.arange(-32.0, 32.0)[None] * 4
    chosen = uncertain(rows, torch.arange(64), 8, 0.75, torch.Generator())
    assert chosen.shape == (1, 8)
    assert sorted(chosen[0, :6].tolist()) == [29, 30, 31, 32, 33, 34] or 35 in chosen[0, :6]


def test_the_loss_pulls_masks_towards_their_targets():
    masks = torch.zeros(1, 1, 64, requires_grad=True)
    matched = [(torch.tensor([0]), torch.tensor([1]))]
    mask, dice = mask_loss(masks, [CELLS], matched, SPEC, torch.Generator())
    (mask + dice).backward()
    inside, void = INDEX == 1, INDEX == -1
    assert (masks.grad[0, 0, inside] < 0).any() and (masks.grad[0, 0, inside] <= 0).all()
    assert (masks.grad[0, 0, ~inside & ~void] >= 0).all() and (masks.grad[0, 0, void] == 0).all()
