import pytest
import torch

from bench.training.data.batches import Target
from bench.training.losses.auxiliary import CODE, centroids, code_of, dense_loss
from bench.training.recipe import DenseSpec

INDEX = torch.tensor([[0, 0, 1, 1], [0, 0, 1, -1]])
TARGET = Target(INDEX.flatten(), torch.tensor([2, 0]), torch.zeros(2, 4))
PLACES = torch.tensor([[0.125, 0.125], [7 / 12, 1 / 12]])  # mean x, mean y, of four columns


def perfect(sure=20.0):
    """(1, 3 + CODE, 2, 4): what the head should say."""
    at = INDEX.clamp_min(0)
    classes = torch.nn.functional.one_hot(TARGET.classes[at], 3) * sure
    return torch.cat([classes, code_of(PLACES)[at]], -1).permute(2, 0, 1)[None]


def test_the_middle_of_a_target_is_its_cells_mean():
    cells = (TARGET.index >= 0).nonzero()[:, 0]
    torch.testing.assert_close(centroids(TARGET, cells, torch.tensor([4.0, 3.0]), 4), PLACES)


def test_saying_what_is_there_costs_nothing_and_void_does_not_matter():
    said = perfect()
    said[0, :, 1, 3] = 99.0
    terms = dense_loss(said, [TARGET], (2, 4), DenseSpec(1.0, 1.0))
    assert terms["semantic"] < 1e-6 and terms["centre"] < 1e-12


@pytest.mark.parametrize("term", ["semantic", "centre"])
def test_one_wrong_cell_costs(term):
    said = perfect()
    part = slice(0, 3) if term == "semantic" else slice(3, None)
    said[0, part, 0, 0] = -said[0, part, 0, 0]
    terms = dense_loss(said, [TARGET], (2, 4), DenseSpec(1.0, 1.0))
    assert terms[term] > 0.05 and terms["centre" if term == "semantic" else "semantic"] < 1e-6


def test_the_hardest_cells_count_once_more():
    said = perfect()
    said[0, 0, 0, 0] = 30.0  # one of seven cells is wrong by ten
    once = dense_loss(said, [TARGET], (2, 4), DenseSpec(1.0, hard_share=1.0))["semantic"].item()
    more = dense_loss(said, [TARGET], (2, 4), DenseSpec(1.0, hard_share=0.2))["semantic"].item()
    assert once == pytest.approx(2 * 10 / 7, rel=1e-3) and more == pytest.approx(10 / 7 + 10, rel=1e-3)


def test_an_image_of_void_costs_nothing_and_has_a_gradient():
    said = perfect().requires_grad_()
    empty = Target(torch.full((8,), -1), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4))
    sum(dense_loss(said, [empty], (2, 4), DenseSpec(1.0, 1.0)).values()).backward()
    assert said.grad.abs().sum() == 0


def test_coarser_features_are_enlarged():
    assert dense_loss(torch.zeros(1, 3 + CODE, 1, 2), [TARGET], (2, 4), DenseSpec(1.0))["semantic"] > 1
