"""Multiply-adds: counted to the digit where a hand can, carried from a worker, told once in run.json."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fakes import write_model, write_tree
from workers import write_faulty

from bench.datasets.registry import load_dataset
from bench.evaluation.run import run
from bench.io.files import read_json
from bench.models.flops import count_macs
from bench.models.resolve import resolve_model
from bench.results.writer import RunWriter
from bench.types import Image

torch = pytest.importorskip("torch")

IMAGE = Image("i", np.zeros((8, 8, 3), dtype=np.uint8))


class Network:
    """A convolution of 3 → 4 channels, attention over the 64 places, and a linear layer of 4 → 5."""

    parameters: int | None = 1

    def __init__(self) -> None:
        self.convolution = torch.nn.Conv2d(3, 4, 3, padding=1)
        self.linear = torch.nn.Linear(4, 5)

    def preprocess(self, image: Image) -> Any:
        return torch.zeros(3, *image.size)

    def infer(self, batch: list[Any]) -> Any:
        with torch.inference_mode():
            features = self.convolution(torch.stack(batch)).flatten(2).transpose(1, 2)[:, None]
            return self.linear(torch.nn.functional.scaled_dot_product_attention(features, features, features))


def test_products_of_convolutions_layers_and_attention() -> None:
    assert count_macs(Network(), IMAGE) == 64 * 9 * 3 * 4 + 2 * 64 * 64 * 4 + 64 * 4 * 5


def test_an_adapter_may_know_better_and_one_without_a_network_has_none() -> None:
    own, without = Network(), Network()
    own.multiply_adds = lambda image: image.size[0]  # type: ignore[attr-defined]
    assert count_macs(own, IMAGE) == 8
    own.multiply_adds = 7  # type: ignore[attr-defined]
    assert count_macs(own, IMAGE) == 7
    without.parameters = None
    assert count_macs(without, IMAGE) is None


@pytest.mark.parametrize("worker", [False, True])
def test_a_run_tells_them_and_what_it_does_not_count_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, worker: bool
) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))
    write_tree(tmp_path / "data", 2)
    yaml = write_faulty(tmp_path, sys.executable) if worker else write_model(tmp_path)
    code = tmp_path / "mine.py"
    data, told = load_dataset("cityscapes", tmp_path / "data"), []
    lines = ("raise ValueError('no')", "return 10 * image.size[1]")  # the size that the worker was sent
    for line in lines:
        added = f"\n\ndef count(self, image):\n    {line}\n\n\nBands.multiply_adds = count\n"
        code.write_text(code.read_text(encoding="utf-8") + added, encoding="utf-8")
        done = run(resolve_model(str(yaml), "cityscapes"), data, tmp_path / "out")
        told.append((done.meta.multiply_adds, done.complete.images_sha256))
    assert [count for count, _ in told] == [None, 640]
    assert told[0][1] == told[1][1]


def test_what_run_json_was_told_once_stays(tmp_path: Path) -> None:
    with RunWriter(tmp_path, {"name": "m", "multiply_adds": None}) as writer:
        for value in (None, 5, 6):
            writer.set_metadata("multiply_adds", value)
    assert read_json(tmp_path / "run.json")["multiply_adds"] == 5
