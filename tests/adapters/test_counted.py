"""Multiply-adds of the families: counted without computing, and the number that computing gives."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from tiny_networks import FAMILIES, SIDE

from bench.datasets.registry import load_dataset
from bench.io.files import read_json
from bench.models.adapter import Adapter
from bench.models.flops import count_macs, counted
from bench.models.loading import load_model
from bench.models.model_file import InputSize
from bench.models.resolve import resolve_model
from bench.types import Image

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

COMMITTED = Path(__file__).parents[2] / "results" / "minicity-val"


def loaded(tiny: Callable[[str], Path], family: str) -> Any:
    size = InputSize(SIDE, SIDE, SIDE) if family == "eomt" else InputSize(64, 128)
    spec = replace(resolve_model(family, "cityscapes", checkpoint=str(tiny(family))), input=size)
    return load_model(spec, "cpu")


@pytest.mark.parametrize("family", FAMILIES)
def test_shapes_alone_give_the_count_of_the_computation(
    tiny: Callable[[str], Path], picture: Callable[[int, int], Image], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter, image = loaded(tiny, family), picture(50, 90)
    (before,) = adapter.infer([adapter.preprocess(image)])
    computed = counted(lambda: adapter.infer([adapter.preprocess(image)]))
    assert computed is not None and computed > adapter.parameters
    with monkeypatch.context() as patched:
        patched.setattr(adapter, "infer", None)
        assert count_macs(adapter, image) == computed
    (after,) = adapter.infer([adapter.preprocess(image)])
    assert torch.equal(after.mask_logits, before.mask_logits)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_count_before_the_first_image_leaves_nothing_behind(
    tiny: Callable[[str], Path], picture: Callable[[int, int], Image], family: str
) -> None:
    fresh, counted_first, image = loaded(tiny, family), loaded(tiny, family), picture(40, 70)
    assert count_macs(counted_first, image)
    outputs = [adapter.infer([adapter.preprocess(image)])[0] for adapter in (counted_first, fresh)]
    assert torch.equal(outputs[0].mask_logits, outputs[1].mask_logits)


@pytest.mark.parametrize("name", ["compose", "detr", "efficientps", "mask2former", "maskformer"])
def test_the_counts_of_committed_runs_come_out_again(name: str) -> None:
    (file,) = COMMITTED.glob(f"{name}/*/run.json")
    adapter: Adapter = load_model(name, "cpu", dataset="minicity")
    image = load_dataset("minicity:val").samples[0].read_image()
    assert count_macs(adapter, image) == read_json(file)["multiply_adds"]


def test_a_composed_model_has_the_counts_of_its_parts_if_both_are_told() -> None:
    from bench.adapters.compose import Compose

    composed: Any = object.__new__(Compose)
    composed.semantic, composed.instances = SimpleNamespace(multiply_adds=3), SimpleNamespace(multiply_adds=4)
    image = Image("i", np.zeros((2, 2, 3), dtype=np.uint8))
    assert count_macs(composed, image) == 7
    composed.instances = SimpleNamespace(parameters=None)
    assert count_macs(composed, image) is None
