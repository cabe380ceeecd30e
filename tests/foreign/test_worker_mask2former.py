"""The tiny Mask2Former behind a worker gives what it gives in one process, to the pixel."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.datasets.registry import load_dataset
from bench.models.flops import count_macs
from bench.models.loading import load_model, open_model
from bench.models.resolve import resolve_model

pytestmark = pytest.mark.foreign


def test_it_is_the_same_in_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = load_dataset("minicity:demo").samples[0].read_image()
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path))
    spec = resolve_model("mask2former", "minicity")
    here = load_model(spec, "cpu")
    with open_model(replace(spec, env=sys.executable), "cpu") as there:
        assert there.categories == here.categories
        predictions = [
            model.postprocess(model.infer([model.preprocess(image)])[0], image.size) for model in (here, there)
        ]
        assert vars(there)["parameters"] == vars(here)["parameters"]
        assert count_macs(there, image) == count_macs(here, image)
    expected, found = predictions
    np.testing.assert_array_equal(found.panoptic.id_map, expected.panoptic.id_map)
    assert found.panoptic.segments_info == expected.panoptic.segments_info
    np.testing.assert_array_equal(found.semantic, expected.semantic)
