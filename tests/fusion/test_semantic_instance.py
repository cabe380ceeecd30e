"""EfficientPS's fusion: the arrays that the authors' own code made, and cases worked out by hand."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.errors import ModelError, UsageError
from bench.types import Categories, Category, Panoptic

torch = pytest.importorskip("torch")

from bench.fusion.logits import ImageGeometry  # noqa: E402
from bench.fusion.presets import PRESETS  # noqa: E402
from bench.fusion.queries import fuse  # noqa: E402
from bench.fusion.semantic_instance import Instances, Window, box_window, fuse_instances, paste  # noqa: E402

Space = Callable[[str], Categories]
CASES = [
    "all_covered", "at_border", "empty_masks", "fifteen", "five", "no_boxes", "one", "overlap_drop",
    "overlap_partial", "same_class", "scaled", "semantic_disagrees", "small_stuff", "stuff_negative",
]  # fmt: skip
RULE = replace(PRESETS["efficientps"], score_threshold=0.0, min_area_px=4)


@pytest.mark.parametrize("case", CASES)
def test_it_equals_the_authors_code(shared_data: Path, case: str) -> None:
    with np.load(shared_data / "fusion_golden" / "efficientps" / f"{case}.npz") as file:
        golden = {name: file[name] for name in file.files}
    params = json.loads(str(golden["params"]))
    things = set(params["thing_ids"])
    categories = Categories(
        tuple(Category(10 + 3 * i, str(i), i in things, (i, i, i)) for i in range(params["num_classes"]))
    )
    logits = torch.from_numpy(golden["semantic_logits"])[None]
    full = torch.nn.functional.interpolate(logits, params["target_size"], mode="bilinear", align_corners=False)[0]
    label = torch.from_numpy(golden["labels"]).long()
    boxes = torch.from_numpy(golden["boxes"])
    masks = [m[i + 1] for m, i in zip(torch.from_numpy(golden["roi_mask_logits"]), label.tolist(), strict=True)]
    instances = Instances(boxes[:, 4], label + params["num_stuff"], boxes[:, :4], masks)
    spec = replace(RULE, overlap_threshold=params["overlap_thr"], min_area_px=params["min_stuff_area"])

    ours = fuse_instances(full, instances, categories, spec)

    infos = ours.segments_info
    assert [info.source_id for info in infos] == golden["segment_id"].tolist()
    assert [categories.index_of[info.category_id] for info in infos] == golden["segment_category"].tolist()
    assert ours.areas.tolist() == golden["segment_area"].tolist()
    starts_at_zero = 0 in golden["segment_id"]
    source = np.array([-1 if starts_at_zero else 0] + [info.source_id for info in infos])[ours.id_map]
    np.testing.assert_array_equal(source, golden["id_map"])


def instances_of(*found: tuple[float, int, tuple[float, float, float, float], list[list[float]]]) -> Instances:
    """(score, label, box, mask logits) each."""
    return Instances(
        torch.tensor([f[0] for f in found]), torch.tensor([f[1] for f in found], dtype=torch.int64),
        torch.tensor([f[2] for f in found]).reshape(-1, 4), [torch.tensor(f[3]) for f in found],
    )  # fmt: skip


def shown(panoptic: Panoptic) -> list[tuple[int, int]]:
    """(category id, area) of the segments."""
    return list(zip([s.category_id for s in panoptic.segments_info], panoptic.areas.tolist(), strict=True))


def test_a_scene_of_8_by_8_pixels(space: Space) -> None:
    """Stuff 0 above, stuff 1 below, things 2 and 3; all values by hand.

    A, a 2, covers rows 2-5 and columns 1-4 with mask logit 1. There its class has semantic logit 0, so its fused
    logit is (σ(4) + ½) · 4 ≈ 5.93, over stuff's 3; but in row 2 stuff 0 has 8 and stays. B, a 3, lies on A's right
    columns 3-6 with half of its mask taken, not more: it stays, but scores less, and in columns 3-4 both fuse to
    5.93: the first, A, keeps them. C repeats A: dropped. In the corner the semantic argmax is the thing 2, and
    nobody's instance is there: void. The single pixel of stuff 4 in the top row is smaller than 4 px: void.
    """
    semantic = torch.zeros(5, 8, 8)
    semantic[0, :4], semantic[1, 4:] = 3, 3
    semantic[0, 2, 1:5] = 8
    semantic[2, 6:, 6:] = 9
    semantic[4, 0, 0] = 5
    one = [[1.0] * 4] * 4
    found = instances_of((0.8, 3, (3, 2, 7, 6), one), (0.9, 2, (1, 2, 5, 6), one), (0.7, 2, (1, 2, 5, 6), one))

    result = fuse_instances(semantic, found, space("sstts"), RULE)

    a, b, s, t = 1, 2, 3, 4
    assert result.id_map.tolist() == [
        [0, s, s, s, s, s, s, s],
        [s, s, s, s, s, s, s, s],
        [s, s, s, s, s, b, b, s],
        [s, a, a, a, a, b, b, s],
        [t, a, a, a, a, b, b, t],
        [t, a, a, a, a, b, b, t],
        [t, t, t, t, t, t, 0, 0],
        [t, t, t, t, t, t, 0, 0],
    ]
    assert shown(result) == [(16, 12), (19, 8), (10, 23), (13, 16)]
    assert [info.score for info in result.segments_info] == [pytest.approx(0.9), pytest.approx(0.8), None, None]


@pytest.mark.parametrize(("semantic_of_thing", "wins"), [(1.0, True), (-1.2, False)])
def test_the_fused_logit_is_the_papers(space: Space, semantic_of_thing: float, wins: bool) -> None:
    """With mask logit ¼ (a = 1) and stuff at 1.5, the semantic logit b decides: (σ(1) + σ(b)) · (1 + b)."""
    fused = sum(1 / (1 + math.exp(-v)) for v in (1, semantic_of_thing)) * (1 + semantic_of_thing)
    assert (fused > 1.5) == wins
    semantic = torch.stack([torch.full((4, 4), 1.5), torch.full((4, 4), semantic_of_thing)])
    result = fuse_instances(semantic, instances_of((0.9, 1, (0, 0, 4, 4), [[0.25]])), space("st"), RULE)
    assert shown(result)[0][0] == (13 if wins else 10)


def test_where_all_stuff_is_negative_the_best_instance_leaks(space: Space) -> None:
    semantic = torch.stack([torch.full((4, 6), -1.0), torch.zeros(4, 6)])
    full = [[5.0, 5.0], [5.0, 5.0]]
    found = instances_of((0.8, 1, (4, 0, 6, 2), full), (0.9, 1, (0, 0, 2, 2), full))
    leaky = fuse_instances(semantic, found, space("st"), RULE)
    assert leaky.areas.tolist() == [20, 4]  # the better one, listed first, takes what is nobody's
    assert [info.source_id for info in leaky.segments_info] == [0, 1]  # no pixel is left to stuff
    semantic[0] += 0.5
    confined = fuse_instances(semantic, found, space("st"), replace(RULE, confined=True))
    assert confined.areas.tolist() == [4, 4]
    assert (confined.id_map == 0).sum() == 16  # the semantic argmax there is a thing


def test_the_leak_falls_to_the_second_where_the_first_ones_window_is(space: Space) -> None:
    """The best has (σ(-1) + σ(-1)) · -2 ≈ -1.08 in its box, over stuff's -3 but under the second's 0 there."""
    semantic = torch.stack([torch.full((2, 4), -3.0), torch.full((2, 4), -1.0)])
    found = instances_of((0.9, 1, (0, 0, 2, 2), [[-0.25] * 2] * 2), (0.8, 1, (2, 0, 4, 2), [[5.0] * 2] * 2))
    result = fuse_instances(semantic, found, space("st"), RULE)
    assert [s.source_id for s in result.segments_info] == [0]
    assert result.areas.tolist() == [8]


def test_a_mask_of_the_box_s_own_size_is_pasted_as_it_is() -> None:
    mask = torch.arange(12, dtype=torch.float32).reshape(3, 4)
    window, pasted = paste(mask, (2.0, 1.0, 6.0, 4.0), (8, 8))
    rows, columns = 1 - window.top, 2 - window.left
    torch.testing.assert_close(pasted[rows : rows + 3, columns : columns + 4], mask, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    ("box", "window"),
    [
        ((9.5, 38.5, 86.5, 48.0), Window(39, 10, 48, 87)),  # halves are rounded up
        ((-11.5, -9.5, 43.25, 200.0), Window(0, 0, 100, 43)),
    ],
)
def test_a_box_is_rounded_and_cut(box: tuple[float, float, float, float], window: Window) -> None:
    assert box_window(box, (100, 100)) == window


def test_boxes_outside_and_without_extent_do_no_harm(space: Space) -> None:
    found = instances_of((0.9, 1, (-9, -9, -5, -5), [[5.0]]), (0.8, 1, (2, 2, 2, 2), [[5.0]]))
    result = fuse_instances(torch.ones(2, 4, 4) * torch.tensor([2.0, 0.0])[:, None, None], found, space("st"), RULE)
    assert shown(result) == [(10, 16)]


def test_only_things_and_only_stuff_are_fine(space: Space) -> None:
    found = instances_of((0.9, 0, (0, 0, 2, 4), [[5.0]]))
    assert shown(fuse_instances(torch.zeros(1, 4, 4), found, space("t"), replace(RULE, confined=True))) == [(10, 8)]
    assert shown(fuse_instances(torch.zeros(1, 4, 4), instances_of(), space("s"), RULE)) == [(10, 16)]


def test_what_does_not_fit_is_refused(space: Space) -> None:
    some = instances_of((0.9, 0, (0, 0, 2, 2), [[5.0]]))
    with pytest.raises(ModelError, match="not a thing"):
        fuse_instances(torch.zeros(2, 4, 4), some, space("st"), RULE)
    with pytest.raises(ModelError, match="3 classes"):
        fuse_instances(torch.zeros(2, 4, 4), some, space("tst"), RULE)
    with pytest.raises(ModelError, match="NaN"):
        fuse_instances(torch.full((2, 4, 4), torch.nan), some, space("ts"), RULE)
    with pytest.raises(UsageError, match="query models"):
        fuse_instances(torch.zeros(2, 4, 4), some, space("ts"), PRESETS["mask2former"])
    with pytest.raises(UsageError, match="instances"):
        fuse(torch.zeros(1, 3), torch.zeros(1, 4, 4), ImageGeometry((4, 4), (4, 4), (4, 4)), space("ts"), RULE)
    with pytest.raises(ModelError, match="2 labels"):
        Instances(torch.zeros(1), torch.zeros(2), torch.zeros(1, 4), [torch.zeros(2, 2)])
