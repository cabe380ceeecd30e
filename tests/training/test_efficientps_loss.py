"""Targets and losses of EfficientPS by hand, and that a network learns from them."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from tiny_efficientps import CONFIG, network  # noqa: E402

from bench.adapters.efficientps.config import TrainingConfig  # noqa: E402
from bench.datasets.label_spaces import load_space  # noqa: E402
from bench.fusion.logits import ImageGeometry, to_target  # noqa: E402
from bench.fusion.presets import PRESETS  # noqa: E402
from bench.fusion.semantic_instance import Instances, fuse_instances  # noqa: E402
from bench.metrics.pq import pq_stat, pq_table, sum_stats  # noqa: E402
from bench.overlap import Overlap  # noqa: E402
from bench.training.losses.efficientps import (  # noqa: E402  # noqa: E402
    Things,
    losses,
    mask_targets,
    match_anchors,
    rpn_losses,
    sample_balanced,
    semantic_loss,
    things_of,
)
from bench.types import Panoptic, SegmentInfo  # noqa: E402

CITYSCAPES = load_space("cityscapes-19").evaluated
ROAD, SKY, PERSON, CAR = (CITYSCAPES.index_of[i] for i in (7, 23, 24, 26))
THINGS = tuple(i for i, c in enumerate(CITYSCAPES) if c.isthing)


def scene() -> tuple:
    """Sky over road, two cars and a person of different colours, a strip that is ignored: pixels, index, classes."""
    index = torch.zeros(64, 96, dtype=torch.int64)
    index[24:] = 1
    rgb = torch.zeros(3, 64, 96)
    rgb[2, :24], rgb[0, 24:] = 1.5, -1.0
    for target, (top, left, bottom, right), color in (
        (2, (30, 8, 46, 36), (1.0, 1.0, -1.0)),
        (3, (28, 52, 48, 80), (1.0, 1.0, -1.0)),
        (4, (20, 40, 44, 50), (-1.0, 2.0, 2.0)),
    ):
        index[top:bottom, left:right] = target
        rgb[:, top:bottom, left:right] = torch.tensor(color)[:, None, None]
    index[60:] = -1
    return rgb[None], [index], [torch.tensor([SKY, ROAD, CAR, CAR, PERSON])]


def test_boxes_are_read_from_the_map() -> None:
    _, (index,), (classes,) = scene()
    found = things_of(index, torch.cat([classes, torch.tensor([CAR])]), THINGS)  # a car without a pixel is left out
    assert found.boxes.tolist() == [[8, 30, 36, 46], [52, 28, 80, 48], [40, 20, 50, 44]]
    assert [THINGS[i] for i in found.things.tolist()] == [CAR, CAR, PERSON]
    assert found.targets.tolist() == [2, 3, 4]


def test_anchors_are_matched_by_overlap_or_as_the_best_of_a_box() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 8], [0, 0, 10, 5], [0, 0, 4, 5], [40, 40, 60, 60]])
    boxes = torch.tensor([[0.0, 0, 10, 10], [50, 50, 60, 65]])
    state, which = match_anchors(anchors, boxes, replace(TrainingConfig(), anchor_least=0.2))
    assert state.tolist() == [1, 1, -1, 0, 1]  # the last has an IoU of 100 / 450 only, but is the best there is
    assert which[[0, 1, 4]].tolist() == [0, 0, 1]
    assert match_anchors(anchors, boxes[:0], TrainingConfig())[0].tolist() == [0] * 5


def test_draws_are_of_their_kind_and_number() -> None:
    positive = torch.arange(20) < 12
    some, others = sample_balanced(positive, ~positive, 10, 0.4)
    assert (len(some), len(others)) == (4, 6)
    assert positive[some].all() and not positive[others].any()
    assert [len(part) for part in sample_balanced(positive & False, ~positive, 10, 0.4)] == [0, 8]


def test_a_mask_target_is_the_map_inside_the_box() -> None:
    index = torch.tensor([[0, 0, 1, 1], [0, 1, 1, -1]])
    truth, known = mask_targets(index, torch.tensor([[1.0, 0, 3, 2], [2, 0, 4, 2]]), torch.tensor([1, 1]), 2)
    assert truth.tolist() == [[[0, 1], [1, 1]], [[1, 1], [1, 0]]]
    assert known.tolist() == [[[1, 1], [1, 1]], [[1, 1], [1, 0]]]


def test_only_the_worst_pixels_count() -> None:
    """Of 8 pixels that are not ignored, the worst quarter: the two on which the network is most wrong."""
    wrong = torch.tensor([5.0, 1, 0, 0, 4, 0, 0, 0, 9, 9]).view(1, 2, 5)  # logit of the wrong class 1; 9s are ignored
    logits = torch.stack([torch.zeros(1, 2, 5), wrong], 1)
    index = torch.tensor([[0, 0, 0, 0, 0], [0, 0, 0, -1, -1]]).repeat_interleave(4, 0).repeat_interleave(4, 1)
    training = replace(TrainingConfig(), semantic_stride=4, hard_share=0.25)
    loss = semantic_loss(logits, [index], [torch.tensor([0])], training)
    torch.testing.assert_close(loss, torch.tensor([5.0, 4.0]).exp().log1p().mean())


def test_a_box_that_is_an_anchor_costs_nothing_but_its_objectness() -> None:
    anchors = torch.tensor([[0.0, 0, 10, 10], [30, 30, 40, 40]])
    things = [Things(anchors[:1], torch.tensor([0]), torch.tensor([0]))]
    training = replace(TrainingConfig(), anchor_samples=2)
    objectness, box = rpn_losses(torch.zeros(1, 2), torch.zeros(1, 2, 4), anchors, things, training)
    assert float(objectness) == pytest.approx(np.log(2)) and float(box) == 0
    _, moved = rpn_losses(torch.zeros(1, 2), torch.ones(1, 2, 4), anchors, things, training)
    assert float(moved) == pytest.approx(4 * (1 - 0.5 / 9) / 2)  # smooth L1 with beta 1/9, over two anchors drawn


def test_an_image_with_nothing_in_it_has_all_terms_and_gradients() -> None:
    model = network().train()
    terms = losses(model, torch.randn(1, 3, 64, 64), [torch.full((64, 64), -1)], [torch.zeros(0, dtype=torch.int64)])
    assert set(terms) == {"semantic", "rpn_objectness", "rpn_box", "box_class", "box_regression", "mask"}
    assert [terms[name].item() for name in ("semantic", "rpn_box", "box_regression", "mask")] == [0, 0, 0, 0]
    sum(terms.values()).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_weights_scale_their_terms() -> None:
    model = network().train()
    torch.manual_seed(1)
    plain = losses(model, *scene())
    model.config = replace(CONFIG, training=replace(CONFIG.training, semantic_weight=3.0, mask_weight=0.0))
    torch.manual_seed(1)
    weighted = losses(model, *scene())
    torch.testing.assert_close(weighted["semantic"], 3 * plain["semantic"])
    assert weighted["mask"].item() == 0


def test_a_few_dozen_steps_learn_an_image_by_heart() -> None:
    """The loss falls to a fifth and below; the map that the trained network gives is nearly the truth."""
    model = network().train()
    pixels, index, classes = scene()
    optimizer = torch.optim.AdamW(model.parameters(), 5e-3)
    history = []
    for _ in range(60):
        loss = sum(losses(model, pixels, index, classes).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert np.mean(history[-5:]) < history[0] / 5, history
    with torch.inference_mode():  # batch statistics: the running ones are not there yet
        (found,) = model(pixels)
    semantic = torch.stack([to_target(x, ImageGeometry((64, 96), (64, 96), (64, 96))) for x in found.semantic])
    instances = Instances(found.scores, found.labels, found.boxes, found.masks)
    ours = fuse_instances(semantic, instances, CITYSCAPES, replace(PRESETS["efficientps"], min_area_px=16))
    truth = Panoptic(
        (index[0] + 1).numpy().astype(np.int32), tuple(SegmentInfo(CITYSCAPES.ids[c]) for c in classes[0].tolist())
    )
    quality = pq_table(sum_stats([pq_stat(Overlap.of(truth, ours))]), CITYSCAPES)
    assert quality.groups.all.PQ is not None and quality.groups.all.PQ > 0.6
