"""The `hf` preset against the installed transformers, and the defects that it copies.

A failing test of a defect means that transformers changed: its message says what to look at.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from bench.fusion.assignment import assign_on_device  # noqa: E402
from bench.fusion.hf import hf_segments  # noqa: E402
from bench.fusion.logits import class_probabilities, select  # noqa: E402
from bench.fusion.presets import PRESETS  # noqa: E402

ToLogits = Callable[[Sequence[tuple[int, float]], int], np.ndarray]
PROCESSORS = ["Mask2FormerImageProcessorPil", "MaskFormerImageProcessorPil", "DetrImageProcessorPil"]
CLASSES = 6
STUFF = {3, 4, 5}


def theirs(
    processor: str,
    classes: Any,
    masks: Any,
    size: tuple[int, int],
    fuse: set[int] | None,
    overlap: float = 0.8,
) -> tuple[Any, list[dict[str, Any]]]:
    """transformers' (H, W) map and segments_info of one image, with the default score threshold."""
    if processor.startswith("Detr"):
        outputs = SimpleNamespace(logits=classes[None], pred_masks=masks[None])
    else:
        outputs = SimpleNamespace(class_queries_logits=classes[None], masks_queries_logits=masks[None])
    result = getattr(transformers, processor)().post_process_panoptic_segmentation(
        outputs, label_ids_to_fuse=fuse, target_sizes=[size], overlap_mask_area_threshold=overlap
    )[0]
    return result["segmentation"], result["segments_info"]


def ours(
    processor: str,
    classes: Any,
    masks: Any,
    size: tuple[int, int],
    fuse: set[int] | None,
    overlap: float = 0.8,
) -> tuple[Any, list[dict[str, Any]]]:
    preset = "hf" if processor.startswith("Mask2Former") else "hf-direct"
    spec = replace(PRESETS[preset], overlap_threshold=overlap)
    kept = select(class_probabilities(classes), masks, spec.score_threshold)
    id_map, segments = hf_segments(kept, size, fuse or set(), spec)
    on_device = hf_segments(kept, size, fuse or set(), spec, assign_on_device)
    assert torch.equal(on_device[0], id_map) and on_device[1] == segments
    return id_map, [vars(segment) for segment in segments]


def grid(kept: int, h: int, w: int) -> tuple[Any, Any]:
    """Logits of 50 queries, of which `kept` are sure of a class and of their cell of a grid, with noise."""
    random = np.random.default_rng(kept)
    masks = random.normal(-6, 1, (50, h, w))
    classes = random.normal(0, 1, (50, CLASSES + 1))
    classes[:, CLASSES] += 12
    columns = int(np.ceil(np.sqrt(max(kept, 1))))
    rows = -(-kept // columns)
    for k, query in enumerate(random.permutation(50)[:kept]):
        y, x = divmod(k, columns)
        cell = np.s_[query, y * h // rows : (y + 1) * h // rows, x * w // columns : (x + 1) * w // columns]
        masks[cell] += 12
        classes[query, CLASSES] = -9
        classes[query, random.integers(CLASSES)] += 8
    return torch.from_numpy(classes.astype(np.float32)), torch.from_numpy(masks.astype(np.float32))


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("fuse", [STUFF, None], ids=["fused", "unfused"])
@pytest.mark.parametrize("kept", [0, 1, 5, 40])
@pytest.mark.parametrize("size", [(120, 161), (40, 56)], ids=["up", "same"])
def test_hf_equals_transformers(processor: str, fuse: set[int] | None, kept: int, size: tuple[int, int]) -> None:
    logits = grid(kept, 40, 56)
    their_map, their_segments = theirs(processor, *logits, size, fuse)
    our_map, our_segments = ours(processor, *logits, size, fuse)
    assert len(their_segments) == kept
    assert our_segments == their_segments
    np.testing.assert_array_equal(our_map.numpy(), their_map.numpy())


@pytest.mark.parametrize("processor", PROCESSORS)
@pytest.mark.parametrize("seed", range(4))
def test_hf_equals_transformers_on_noise(processor: str, seed: int) -> None:
    """An untrained model: hardly any query sure of anything, borders everywhere, segments refused."""
    random = torch.Generator().manual_seed(seed)
    classes = 2.5 * torch.randn(30, CLASSES + 1, generator=random)
    masks = torch.nn.functional.interpolate(
        3 * torch.randn(1, 30, 5, 7, generator=random), size=(33, 47), mode="bicubic"
    )[0]
    their_map, their_segments = theirs(processor, classes, masks, (71, 90), STUFF, 0.1)
    our_map, our_segments = ours(processor, classes, masks, (71, 90), STUFF, 0.1)
    assert len(their_segments) > 2
    assert our_segments == their_segments
    np.testing.assert_array_equal(our_map.numpy(), their_map.numpy())


def quadrants(values: Sequence[float]) -> Any:
    """(4, 64, 64) logits: query k is at `values[k]` in quadrant k and at -10 elsewhere."""
    masks = torch.full((4, 2, 32, 2, 32), -10.0)
    for k, value in enumerate(values):
        masks[k, k // 2, :, k % 2] = value
    return masks.view(4, 64, 64)


@pytest.fixture
def sky_person_sky_car(scores_to_logits: ToLogits) -> tuple[Any, Any]:
    classes = scores_to_logits([(3, 0.9), (0, 0.9), (3, 0.9), (1, 0.9)], CLASSES)
    return torch.from_numpy(classes), quadrants([10, 10, 10, 10])


@pytest.mark.parametrize("processor", PROCESSORS)
def test_ids_collide_after_a_fused_class(processor: str, sky_person_sky_car: tuple[Any, Any]) -> None:
    id_map, segments = theirs(processor, *sky_person_sky_car, (64, 64), {3})
    ids = {segment["label_id"]: segment["id"] for segment in segments}
    assert ids[0] == ids[1] == 2 and id_map[0, 63] == id_map[63, 63], (
        "transformers fixed the colliding ids after a fused class: revisit the hf preset"
    )


@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_fused_class_is_listed_once_a_query(processor: str, sky_person_sky_car: tuple[Any, Any]) -> None:
    _, segments = theirs(processor, *sky_person_sky_car, (64, 64), {3})
    assert [segment["id"] for segment in segments if segment["label_id"] == 3] == [1, 1], (
        "transformers fixed the duplicate entries of a fused class: revisit the hf preset"
    )


@pytest.mark.parametrize("processor", PROCESSORS)
def test_the_area_test_sees_masks_weighted_by_score(processor: str, scores_to_logits: ToLogits) -> None:
    """A mask at .73 is well past .5, but a score of .65 brings it to .48, and the segment is refused."""
    masks = torch.full((1, 64, 64), 1.0)
    found = []
    for score in (0.65, 0.7):
        classes = torch.from_numpy(scores_to_logits([(0, score)], CLASSES))
        found.append(len(theirs(processor, classes, masks, (64, 64), set())[1]))
    assert found == [0, 1], "transformers fixed the area test on weighted masks: revisit the hf preset"


@pytest.mark.parametrize("processor", PROCESSORS)
def test_pixels_below_half_are_not_void(processor: str, scores_to_logits: ToLogits) -> None:
    classes = torch.from_numpy(scores_to_logits([(0, 0.9)], CLASSES))
    masks = quadrants([10])[:1]
    id_map, _ = theirs(processor, classes, masks, (64, 64), set())
    assert bool((id_map == 1).all()), (
        "transformers fixed the missing void below a mask probability of .5: revisit the hf preset"
    )


def test_mask2former_masks_pass_through_384_by_384(scores_to_logits: ToLogits) -> None:
    """A stripe 1 px wide of 768 is still 1 px wide at 768, but not after a detour over 384."""
    classes = torch.from_numpy(scores_to_logits([(0, 0.9), (1, 0.9)], CLASSES))
    masks = torch.full((2, 8, 768), 10.0)
    masks[0, :, 100] = -10
    masks[1] = -masks[0]
    straight, _ = theirs("MaskFormerImageProcessorPil", classes, masks, (8, 768), set())
    detour, _ = theirs("Mask2FormerImageProcessorPil", classes, masks, (8, 768), set())
    assert (straight == 2).sum() == 8
    assert (detour == 2).sum() != 8, (
        "transformers fixed the detour over 384 x 384 of Mask2Former: revisit the hf preset"
    )
