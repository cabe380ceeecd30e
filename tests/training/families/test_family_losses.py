"""Every family's losses see what its network predicts: compared with transformers' own forward."""

import pytest
import torch
from training_runs import NETWORK, recipe_of

from bench.datasets.label_spaces import load_space
from bench.errors import UsageError
from bench.training.data.batches import MicroBatch, Target
from bench.training.families import detr, mask2former, maskformer
from bench.training.losses.set_loss import class_weights
from bench.training.recipe import LossSpec, Phase

SPACE = load_space("cityscapes-19").evaluated


def part_of(boxes_only=False):
    """Two images, of three targets and of none."""
    index = torch.full((16, 32), -1)
    index[:8], index[8:12, :16], index[12:, 4:9] = 0, 1, 2
    boxes = torch.tensor([[0.5, 0.25, 1.0, 0.5], [0.25, 0.625, 0.5, 0.25], [0.2, 0.875, 0.16, 0.25]])
    full = Target(index.flatten(), torch.tensor([0, 13, 13]), boxes)
    empty = Target(torch.full((512,), -1), torch.zeros(0, dtype=torch.int64), torch.zeros(0, 4))
    pixels = torch.randn(2, 3, 64, 128, generator=torch.Generator().manual_seed(1))
    phase = Phase(1.0, (64, 128), 2, boxes_only=boxes_only)
    return MicroBatch(pixels, (full, empty), phase, torch.Generator().manual_seed(2))


def network(module, **changes):
    torch.manual_seed(0)
    return module.build(recipe_of(**changes), SPACE).eval()


@pytest.mark.parametrize("module", [mask2former, maskformer, detr])
def test_every_parameter_that_predicts_learns(module):
    model, recipe = network(module), recipe_of()
    model.requires_grad_(True)
    out = module.losses(model, part_of(), recipe, class_weights(LossSpec(), SPACE))
    assert all(term.isfinite() and term > 0 for term in out.terms.values())
    (sum(out.terms.values()) + out.features.sum() * 0).backward()
    still = [name for name, p in model.named_parameters() if p.grad is None]
    assert [name for name in still if "criterion" not in name and "level_embed" not in name] == []
    assert out.features.shape[1] == module.FAMILY.feature_width(model)


@pytest.mark.parametrize("module", [mask2former, maskformer])
def test_the_last_layer_is_the_prediction(module, monkeypatch):
    model, seen = network(module), []
    monkeypatch.setattr(module, "set_loss", lambda layers, *rest: seen.extend(layers) or {})
    part = part_of()
    module.losses(model, part, recipe_of(), torch.ones(20))
    with torch.no_grad():
        out = model(pixel_values=part.pixels)
    torch.testing.assert_close(seen[-1][0], out.class_queries_logits)
    torch.testing.assert_close(seen[-1][1], out.masks_queries_logits)
    assert len(seen) == 2  # Mask2Former: the queries and a layer; MaskFormer: two layers
    assert not torch.equal(seen[0][1], seen[-1][1])


def test_detr_decodes_as_its_own_forward_does():
    model, part = network(detr), part_of()
    with torch.no_grad():
        decoded, out = detr.decode(model, part.pixels), model(pixel_values=part.pixels)
        masks = detr.matched_masks(model, decoded, [(torch.tensor([4, 1]), None), (torch.tensor([2]), None)])
        torch.testing.assert_close(model.detr.class_labels_classifier(decoded.states[-1]), out.logits)
        torch.testing.assert_close(model.detr.bbox_predictor(decoded.states[-1]).sigmoid(), out.pred_boxes)
    torch.testing.assert_close(masks[0], out.pred_masks[0, [4, 1]], rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(masks[1, 0], out.pred_masks[1, 2], rtol=1e-4, atol=1e-5)
    assert len(decoded.states) == 2


def test_detr_learns_boxes_without_its_mask_head():
    model = network(detr)
    terms = detr.losses(model, part_of(boxes_only=True), recipe_of(), torch.ones(20)).terms
    assert set(terms) == {"class", "box", "giou"}
    sum(terms.values()).backward()
    assert all(p.grad is None for p in model.mask_head.parameters())


def test_detr_says_which_backbones_its_mask_head_takes():
    with pytest.raises(UsageError, match="four stages, not 5"):
        network(detr, network={**NETWORK, "widths": [8] * 5, "depths": [1] * 5})


@pytest.mark.parametrize("module", [mask2former, maskformer, detr])
def test_a_misspelt_field_of_the_network_is_named(module):
    with pytest.raises(UsageError, match="network: unknown key 'querys'; did you mean 'queries'"):
        network(module, network={**NETWORK, "querys": 3})


def test_detr_draws_the_masks_that_it_learns_from():
    pairs = [(torch.arange(9), torch.arange(9) + 100), (torch.arange(2), torch.arange(2) + 100)]
    some = detr.sample_matched(pairs, 4, torch.Generator().manual_seed(0))
    assert [len(queries) for queries, _ in some] == [4, 2]
    assert all(torch.equal(queries + 100, targets) for queries, targets in some)
    seen = {
        q
        for seed in range(40)
        for q in detr.sample_matched(pairs, 4, torch.Generator().manual_seed(seed))[0][0].tolist()
    }
    assert seen == set(range(9))
    assert detr.sample_matched(pairs, 0, torch.Generator()) is pairs


def test_the_masks_of_detr_depend_on_where_a_query_looks_from_the_start():
    model = network(detr)
    with torch.no_grad():
        decoded = detr.decode(model, part_of().pixels[:1])
        heads, (h, w) = model.config.encoder_attention_heads, decoded.memory.shape[-2:]
        halves = torch.zeros(1, 2, heads, h, w)
        halves[0, 0, :, : h // 2] = halves[0, 1, :, h // 2 :] = 2 / (heads * h * w)  # upper, lower
        upper, lower = model.mask_head(decoded.projected, halves, decoded.finer)
    assert (upper - lower).std() > 0.2 * upper.std()
