"""The mask head of DETR by parts: the same masks, and never more queries at once than allowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.models.loading import load_model
from bench.models.resolve import resolve_model

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")
detr_masks: Any = pytest.importorskip("bench.adapters.detr_masks")


def inputs(images: int, queries: int) -> dict[str, Any]:
    made = torch.Generator().manual_seed(0)

    def noise(*shape: int) -> Any:
        return torch.randn(shape, generator=made)

    return {
        "features": noise(images, 32, 3, 4),
        "attention_masks": noise(images, queries, 8, 3, 4),
        "fpn_features": [noise(images, 16, 6, 8), noise(images, 8, 12, 16), noise(images, 8, 24, 32)],
    }


def head() -> Any:
    from transformers.models.detr.modeling_detr import DetrMaskHeadSmallConv

    torch.manual_seed(0)
    return DetrMaskHeadSmallConv(input_channels=40, fpn_channels=[16, 8, 8], hidden_size=32).eval()


@pytest.mark.parametrize(("images", "queries"), [(1, 12), (1, 8), (1, 3), (2, 9), (11, 2)])
def test_the_masks_are_the_same(images: int, queries: int) -> None:
    """To the bit, mostly: torch chooses a convolution's algorithm by the size of its batch and the threads."""
    whole, parts, given = head(), head(), inputs(images, queries)
    detr_masks.in_parts(parts)
    with torch.inference_mode():
        found, expected = parts(**given), whole(**given)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.std()))


@pytest.mark.parametrize(("images", "queries", "most"), [(1, 12, 8), (2, 9, 8), (11, 2, 11)])
def test_no_more_queries_at_once(images: int, queries: int, most: int) -> None:
    split, seen = head(), []
    split.conv1.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    detr_masks.in_parts(split)
    with torch.inference_mode():
        split(**inputs(images, queries))
    assert max(seen) == most and sum(seen) == images * queries


def test_the_adapter_does_so(tiny: Callable[[str], Path], picture: Any) -> None:
    adapter: Any = load_model(resolve_model("detr", "cityscapes", checkpoint=str(tiny("detr"))), "cpu")
    seen: list[int] = []
    adapter.model.mask_head.conv1.register_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    adapter.infer([adapter.preprocess(picture(64, 64))])
    assert seen == [detr_masks.AT_ONCE, adapter.model.config.num_queries - detr_masks.AT_ONCE]
