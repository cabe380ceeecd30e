"""The rules on cases small enough to work out by hand: one row of pixels, mostly without a resize."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from bench.errors import ModelError, UsageError
from bench.types import Categories, Panoptic

torch = pytest.importorskip("torch")

from bench.fusion.assignment import assign_pixels  # noqa: E402
from bench.fusion.detr import nearest  # noqa: E402
from bench.fusion.logits import ImageGeometry, resize, single_threaded  # noqa: E402
from bench.fusion.presets import PRESETS, FusionSpec  # noqa: E402
from bench.fusion.queries import fuse  # noqa: E402
from bench.fusion.semantic import semantic  # noqa: E402

QUERY_PRESETS = [name for name, spec in PRESETS.items() if spec.rule not in ("efficientps", "framework", "none")]
Space = Callable[[str], Categories]
ToLogits = Callable[[Sequence[tuple[int, float]], int], np.ndarray]
Fuse = Callable[..., Panoptic]


@pytest.fixture
def fuse_row(space: Space, scores_to_logits: ToLogits) -> Fuse:
    """Queries (label, score, logits of one row) and kinds of classes → Panoptic, without any resize."""

    def run(rule: str, kinds: str, queries: Sequence[tuple[int, float, Sequence[float]]]) -> Panoptic:
        classes = torch.from_numpy(scores_to_logits([q[:2] for q in queries], len(kinds)))
        masks = torch.tensor([q[2] for q in queries], dtype=torch.float32)[:, None]
        size = (1, masks.shape[2])
        spec = replace(PRESETS[rule], inner_size=None)
        return fuse(classes, masks, ImageGeometry(size, size, size), space(kinds), spec)

    return run


def segments(panoptic: Panoptic) -> list[tuple[int | None, int]]:
    return [(info.source_id, info.category_id) for info in panoptic.segments_info]


def test_two_things_of_one_class_stay_apart(fuse_row: Fuse) -> None:
    result = fuse_row("mask2former", "ts", [(0, 0.9, [5, 5, -5, -5]), (0, 0.95, [-5, -5, 5, 5])])
    assert result.id_map.tolist() == [[1, 1, 2, 2]]
    assert segments(result) == [(1, 10), (2, 10)]
    assert [info.score for info in result.segments_info] == pytest.approx([0.9, 0.95])


def test_stuff_is_one_segment_and_the_ids_count_on(fuse_row: Fuse) -> None:
    queries = [(1, 0.9, [5, -5, -5, -5]), (0, 0.9, [-5, 5, -5, -5])]
    queries += [(1, 0.99, [-5, -5, 5, -5]), (2, 0.9, [-5, -5, -5, 5])]
    result = fuse_row("mask2former", "tst", queries)
    assert result.id_map.tolist() == [[1, 2, 1, 3]]
    assert segments(result) == [(1, 13), (2, 10), (3, 16)]
    assert result.segments_info[0].score == pytest.approx(0.9)  # of the query that opened the segment


@pytest.mark.parametrize(("rule", "expected"), [("mask2former", [1, 1, 0]), ("maskformer", [1, 1, 1])])
def test_below_half_is_void_in_mask2former_alone(fuse_row: Fuse, rule: str, expected: list[int]) -> None:
    result = fuse_row(rule, "t", [(0, 0.9, [5, 0, -0.1])])  # a logit of 0 is a probability of exactly .5
    assert result.id_map.tolist() == [expected]


@pytest.mark.parametrize(("shared_px", "expected"), [(1, [1, 1, 2, 2, 2, 2]), (2, [1, 1, 0, 0, 0, 0])])
def test_a_query_that_lost_too_much_is_refused_and_leaves_void(
    fuse_row: Fuse, shared_px: int, expected: list[int]
) -> None:
    """The second wins 4 px of 5 (.8: enough) or of 6 (.67: refused, and nobody takes its pixels)."""
    second = [5.0 if i >= 2 - shared_px else -5.0 for i in range(6)]
    result = fuse_row("mask2former", "t", [(0, 0.95, [9, 9, -5, -5, -5, -5]), (0, 0.9, second)])
    assert result.id_map.tolist() == [expected]


def test_refused_stuff_is_not_remembered(fuse_row: Fuse) -> None:
    """The first query of the stuff class wins 1 px of 2 and is refused; the third opens the segment."""
    queries = [(1, 0.85, [5, 5, -5, -5]), (0, 0.95, [9, -5, -5, -5]), (1, 0.9, [-5, -5, 9, 9])]
    result = fuse_row("mask2former", "ts", queries)
    assert result.id_map.tolist() == [[1, 0, 2, 2]]
    assert segments(result) == [(1, 10), (2, 13)]


def test_pixels_won_below_half_count_as_won(fuse_row: Fuse) -> None:
    """The second wins 4 px, 1 of them past .5, of the 2 it has past .5: ratio 4 / 2, so it stays."""
    queries = [(0, 0.95, [9, -9, -9, -9, -9]), (0, 0.9, [3, 3, -1, -1, -1])]
    assert fuse_row("mask2former", "t", queries).id_map.tolist() == [[1, 2, 0, 0, 0]]


@pytest.mark.parametrize(("rule", "expected"), [("mask2former", [1, 0]), ("maskformer", [1, 2])])
def test_a_segment_without_a_pixel_past_half(fuse_row: Fuse, rule: str, expected: list[int]) -> None:
    """The second loses its pixel past .5 and wins one below: 1 of 1, but nothing to show in Mask2Former."""
    result = fuse_row(rule, "t", [(0, 0.95, [9, -9]), (0, 0.9, [3, -1])])
    assert result.id_map.tolist() == [expected]


def test_the_first_query_wins_where_float32_saturates(fuse_row: Fuse) -> None:
    result = fuse_row("mask2former", "t", [(0, 0.9, [20, 20, -5]), (0, 0.9, [-5, 30, 30])])
    assert result.id_map.tolist() == [[1, 1, 0]]  # the second won 1 px of 2


def test_the_score_threshold_is_strict_and_no_object_is_dropped(space: Space) -> None:
    even = torch.zeros(3, 2)  # scores of exactly .5, the first class on a tie
    even[1, 1] = 9  # no-object
    even[2, 0] = 0.01
    masks = 10 * torch.eye(3)[:, None] - 5  # each its own pixel
    frame = ImageGeometry((1, 3), (1, 3), (1, 3))
    kept = fuse(even, masks, frame, space("t"), FusionSpec("maskformer", 0.5))
    assert [info.score for info in kept.segments_info] == pytest.approx([0.5025], abs=1e-4)


def test_padding_is_cut_before_the_second_resize(space: Space, scores_to_logits: ToLogits) -> None:
    """4 columns of padded input, 2 of image, drawn on 4: columns 2 and 3 must not be seen."""
    masks = torch.tensor([[[4.0, -4.0, 9.0, 9.0]]])
    classes = torch.from_numpy(scores_to_logits([(0, 0.9)], 1))
    result = fuse(classes, masks, ImageGeometry((1, 4), (1, 2), (1, 4)), space("t"), PRESETS["mask2former"])
    assert result.id_map.tolist() == [[1, 1, 0, 0]]  # 4, 2, -2, -4


def test_the_two_resizes_are_not_one(space: Space, scores_to_logits: ToLogits) -> None:
    """2 columns to 4 and back: 6, -2 become 5, -1, and -9, 1.2 become -7.8, -.075: below .5.

    Straight from 2 to 2 the second query would hold the right pixel.
    """
    masks = torch.tensor([[[6.0, -2.0]], [[-9.0, 1.2]]])
    classes = torch.from_numpy(scores_to_logits([(0, 0.9), (0, 0.9)], 1))
    result = fuse(classes, masks, ImageGeometry((1, 4), (1, 4), (1, 2)), space("t"), PRESETS["mask2former"])
    assert result.id_map.tolist() == [[1, 0]]
    straight = fuse(classes, masks, ImageGeometry((1, 2), (1, 2), (1, 2)), space("t"), PRESETS["mask2former"])
    assert straight.id_map.tolist() == [[1, 2]]


def test_detr_gives_every_pixel_away_and_numbers_from_0(fuse_row: Fuse) -> None:
    queries = [(0, 0.9, [1] * 5 + [-9] * 5), (1, 0.99, [-8] * 10)]
    result = fuse_row("detr", "ts", queries)
    assert result.id_map.tolist() == [[1] * 5 + [2] * 5]
    assert segments(result) == [(0, 10), (1, 13)]


def test_detr_hands_repeated_stuff_to_the_next_best(fuse_row: Fuse) -> None:
    """The second sky query falls in the first round, and the road beneath it takes its pixels."""
    sky, again = [5] * 5 + [-9] * 10, [-9] * 5 + [5] * 5 + [-9] * 5
    queries = [(1, 0.9, sky), (1, 0.9, again), (0, 0.9, [-8] * 5 + [0] * 10)]
    result = fuse_row("detr", "ss", queries)
    assert result.id_map.tolist() == [[1] * 5 + [2] * 10]
    assert segments(result) == [(0, 13), (1, 10)]


@pytest.mark.parametrize(("area", "expected"), [(4, [1] * 10), (5, [1] * 5 + [2] * 5)])
def test_detr_drops_segments_of_4_px(fuse_row: Fuse, area: int, expected: list[int]) -> None:
    small = [-5] * (10 - area) + [5] * area
    result = fuse_row("detr", "t", [(0, 0.9, [0] * 10), (0, 0.9, small)])
    assert result.id_map.tolist() == [expected]


def test_detr_may_drop_everything(fuse_row: Fuse) -> None:
    result = fuse_row("detr", "t", [(0, 0.9, [5, 5, 5, 5])])
    assert result.id_map.tolist() == [[0, 0, 0, 0]]
    assert result.segments_info == ()


def test_nearest_is_pillows() -> None:
    for n_in, n_out in [(150, 113), (100, 75), (7, 19), (1066, 640), (5, 5), (3, 1), (1024, 333)]:
        row = Image.fromarray(np.arange(n_in, dtype=np.int32)[None])
        picked = np.asarray(row.resize((n_out, 1), Image.Resampling.NEAREST))[0]
        assert nearest(n_in, n_out).tolist() == picked.tolist()


def test_hf_ids_collide_and_the_last_entry_names_the_pixels(fuse_row: Fuse) -> None:
    """sky, person, sky, car → transformers' ids 1, 2, 1, 2: the person becomes a car."""
    queries = [(1, 0.9, [5, -5, -5, -5]), (0, 0.9, [-5, 5, -5, -5])]
    queries += [(1, 0.99, [-5, -5, 5, -5]), (2, 0.9, [-5, -5, -5, 5])]
    result = fuse_row("hf", "tst", queries)
    assert result.id_map.tolist() == [[1, 2, 1, 2]]
    assert segments(result) == [(1, 13), (2, 16)]
    assert [info.score for info in result.segments_info] == pytest.approx([0.99, 0.9])


def test_hf_with_every_segment_refused_is_void(fuse_row: Fuse) -> None:
    result = fuse_row("hf", "t", [(0, 0.65, [1, 1])])  # .65 × .73 is below .5 everywhere
    assert (result.id_map.tolist(), result.segments_info) == ([[0, 0]], ())


@pytest.mark.parametrize("rule", QUERY_PRESETS)
def test_nothing_kept_is_void(fuse_row: Fuse, rule: str) -> None:
    result = fuse_row(rule, "ts", [(0, 0.3, [5, 5])])
    assert (result.id_map.tolist(), result.segments_info) == ([[0, 0]], ())


@pytest.mark.parametrize("rule", QUERY_PRESETS)
def test_class_logits_must_fit_the_categories(space: Space, rule: str) -> None:
    frame = ImageGeometry((2, 2), (2, 2), (2, 2))
    with pytest.raises(ModelError, match=r"class logits are \(3, 3\), but 4 classes"):
        fuse(torch.zeros(3, 3), torch.zeros(3, 2, 2), frame, space("ttss"), PRESETS[rule])
    with pytest.raises(ModelError, match=r"mask logits are \(2, 2, 2\), but 3 queries"):
        fuse(torch.zeros(3, 3), torch.zeros(2, 2, 2), frame, space("ts"), PRESETS[rule])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("kind", ["class", "mask"])
def test_non_finite_logits_are_named(space: Space, kind: str, bad: float) -> None:
    classes, masks = torch.tensor([[9.0, 0.0], [9.0, 0.0]]), torch.zeros(2, 2, 2)
    (classes if kind == "class" else masks).view(-1)[1] = bad
    frame = ImageGeometry((2, 2), (2, 2), (2, 2))
    for call in (
        lambda: fuse(classes, masks, frame, space("t"), PRESETS["mask2former"]),
        lambda: semantic(classes, masks, frame, space("t")),
    ):
        with pytest.raises(ModelError, match=f"1 of . {kind} logits are NaN or infinite"):
            call()


def test_an_image_larger_than_its_padding_is_refused() -> None:
    with pytest.raises(ModelError, match="larger than its padding"):
        ImageGeometry((4, 4), (4, 5), (4, 4))


def test_presets_refuse_what_is_not_a_rule_or_a_probability() -> None:
    with pytest.raises(UsageError, match="mask2former, maskformer, detr, hf"):
        FusionSpec("mask-former", 0.8)
    with pytest.raises(UsageError, match=r"overlap_threshold must lie in 0..1, not 80"):
        FusionSpec("mask2former", 0.8, 80)


def test_semantic_adds_up_class_times_mask_probability(space: Space) -> None:
    """thing : stuff is .4 : .05, then .05 : .3 (a mask at a half), then .4 + .1 : .05 + .6."""
    classes = torch.tensor([[0.4, 0.05, 0.55], [0.1, 0.6, 0.3]]).log()
    masks = torch.tensor([[[20.0, -20.0, 20.0]], [[-20.0, 0.0, 10.0]]])
    frame = ImageGeometry((1, 3), (1, 3), (1, 3))
    assert semantic(classes, masks, frame, space("ts")).tolist() == [[10, 13, 13]]


def test_more_than_128_queries_are_told_apart() -> None:
    """Past 128 the code needs more than a byte."""
    masks = torch.eye(200)[:, None]
    result = assign_pixels((mask * 1.0 for mask in masks), torch.full((200,), 0.9), (1, 200), 0.5, weigh_first=False)
    assert result.code.tolist() == [[2 * k + 1 for k in range(200)]]
    assert result.area.tolist() == [[0, 1]] * 200


def test_contest_is_the_argmax_of_score_times_probability() -> None:
    """Against the plain formula on all maps at once, with ties."""
    random = torch.Generator().manual_seed(0)
    p = torch.randint(0, 5, (12, 31, 43), generator=random) / 4
    scores = torch.randint(1, 4, (12,), generator=random) / 4
    result = assign_pixels((mask.clone() for mask in p), scores, (31, 43), 0.5, weigh_first=False)
    winner = (p * scores[:, None, None]).argmax(0)
    inside = p.gather(0, winner[None])[0] >= 0.5
    assert result.code.tolist() == (2 * winner + inside).tolist()
    assert list(result.extent) == (p >= 0.5).flatten(1).sum(1).tolist()
    assert result.area.sum() == 31 * 43


def test_skipping_a_resize_to_the_same_size_changes_no_bit() -> None:
    mask = 30 * torch.randn(37, 53, generator=torch.Generator().manual_seed(1))
    same = torch.nn.functional.interpolate(mask[None, None], size=(37, 53), mode="bilinear", align_corners=False)
    assert torch.equal(resize(mask, (37, 53)), same[0, 0])


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_fused_in_float32(space: Space, dtype: torch.dtype) -> None:
    random = torch.Generator().manual_seed(2)
    classes = (6 * torch.randn(8, 4, generator=random)).to(dtype)
    masks = (4 * torch.randn(8, 5, 7, generator=random)).to(dtype)
    frame = ImageGeometry((20, 28), (19, 25), (30, 41))
    spec = FusionSpec("maskformer", 0.5, 0.1)
    half = fuse(classes, masks, frame, space("tts"), spec)
    full = fuse(classes.float(), masks.float(), frame, space("tts"), spec)
    assert len(full.segments_info) > 1
    assert half.id_map.tolist() == full.id_map.tolist()


def test_logits_that_need_gradients_are_taken_and_left_alone(space: Space) -> None:
    classes = torch.tensor([[9.0, 0.0]], requires_grad=True)
    masks = torch.ones(1, 2, 2, requires_grad=True)
    frame = ImageGeometry((2, 2), (2, 2), (2, 2))
    for preset in map(PRESETS.__getitem__, QUERY_PRESETS):
        fuse(classes, masks, frame, space("t"), replace(preset, inner_size=None, min_area_px=0))
    assert semantic(classes, masks, frame, space("t")).tolist() == [[10, 10], [10, 10]]
    assert masks.tolist() == [[[1, 1], [1, 1]]]


def test_one_thread_puts_back_what_was_set() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        with pytest.raises(ValueError, match="inside"), single_threaded():
            assert torch.get_num_threads() == 1
            raise ValueError("inside")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_fusion_of_a_framework_is_not_ours_to_do(space: Space) -> None:
    with pytest.raises(UsageError, match="adapters that fuse themselves"):
        fuse(
            torch.zeros(3, 3),
            torch.zeros(3, 2, 2),
            ImageGeometry((2, 2), (2, 2), (2, 2)),
            space("ts"),
            PRESETS["framework"],
        )
