"""A small Cityscapes tree and two users' own models: what the tests of the command line run on.

The images carry the truth in their red channel, a little disturbed, so that a model of a few lines of numpy
gets most of it right. Faults are asked for by environment variables that only the model's file reads.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (32, 64)  # (H, W) px
CITIES = ("aachen", "bonn")
STEP = 12  # red = STEP * (position of the class in cityscapes-19) + up to 3
LABELS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)

MODEL_YAML = """\
title: Bands of the red channel
adapter: ./mine.py:{name}
method: one-shot
fusion: {{preset: mask2former}}
defaults: {{cityscapes: plain, minicity: plain}}
checkpoints:
  plain: {{path: ., categories: cityscapes-19, input: {{shorter: 32, longer: 64}}}}
"""

# A user's file: numpy only. Like a real network's padding, neighbours in a batch move a pixel or two.
MODEL_PY = '''\
"""Two models for the tests: Bands defines the three stages, Least only predicts."""

import os
import time

import numpy as np

from bench.types import Panoptic, Prediction, SegmentInfo


def fault(image_id):
    """FAKE_FAULT=<image id>=<kind> fails at that image."""
    at, _, kind = os.environ.get("FAKE_FAULT", "").partition("=")
    return kind if at == image_id else ""


def panoptic_of(index, categories, shift):
    """(H, W) class positions to segments; things are cut in two at the middle, moved by `shift` px."""
    ids, infos = np.zeros(index.shape, dtype=np.int32), {}
    right = np.arange(index.shape[1]) >= index.shape[1] // 2 + shift
    for position, category in enumerate(categories):
        for half in (~right, right) if category.isthing else (np.ones_like(right),):
            mask = (index == position) & half
            if mask.any():
                infos[len(infos) + 1] = SegmentInfo(category.id, score=0.5 + position / 100)
                ids[mask] = len(infos)
    return Panoptic.from_ids(ids, infos)


class Bands:
    def __init__(self, spec, device="auto"):
        if os.environ.get("FAKE_FAULT") == "load":
            raise RuntimeError("no room for the weights\\nand more")
        self.categories = spec.space

    def preprocess(self, image):
        if fault(image.image_id) == "preprocess":
            raise ZeroDivisionError("division by zero")
        return image

    def infer(self, batch):
        time.sleep(float(os.environ.get("FAKE_SLEEP", "0")) * len(batch))
        if len(batch) > int(os.environ.get("FAKE_MOST", "99")):
            raise RuntimeError(f"CUDA out of memory for {len(batch)} images")
        for image in batch:
            if fault(image.image_id) == "infer":
                raise RuntimeError("the network broke\\nat some layer")
            if fault(image.image_id) == "memory":
                raise RuntimeError("CUDA out of memory\\nTried to allocate")
            if fault(image.image_id) == "hang":
                time.sleep(3600)
            if fault(image.image_id) == "interrupt":
                raise KeyboardInterrupt
            if fault(image.image_id) == "short":
                return []
        shift = sum(int(image.rgb[0, 0, 0]) + 1 for image in batch) % 5
        return [(image.image_id, image.rgb[..., 0] // 12, shift) for image in batch]

    def postprocess(self, output, size):
        image_id, index, shift = output
        index = index.astype(np.int32)
        if fault(image_id) == "postprocess":
            raise KeyError("logits")
        if fault(image_id) == "size":
            index = index[:-1]
        if fault(image_id) == "category":
            return Prediction(Panoptic(np.ones(size, dtype=np.int32), (SegmentInfo(99),)))
        if fault(image_id) == "map":
            return Prediction(Panoptic.from_ids(index, {}))
        table = np.array(self.categories.ids, dtype=np.int32)
        semantic = table[index]
        return Prediction(panoptic_of(index, self.categories, shift), semantic[1:] if fault(image_id) == "semantic"
                          else semantic)


class Least:
    def __init__(self, spec, device):
        self.categories = spec.space

    def predict(self, images):
        for image in images:
            if fault(image.image_id) == "infer":
                raise RuntimeError("it broke")
        return [Prediction(panoptic_of(image.rgb[..., 0] // 12 + 0, self.categories, 0)) for image in images]
'''


def instance_ids(rng: np.random.Generator) -> np.ndarray:
    """(H, W) uint16 in Cityscapes' coding: seven stuff classes, cars, a crowd of people, void at the bottom."""
    height, width = SIZE
    ids = np.full(SIZE, 7, dtype=np.uint16)
    ids[: height // 3] = 23
    ids[height // 3 : height // 2] = 11
    ids[height // 3 : height // 2, : int(rng.integers(8, 24))] = 21
    ids[height // 2 : height // 2 + 4] = 8
    ids[4 : height // 2, int(rng.integers(2, width - 4))] = 17
    for number, left in enumerate((4, width // 2 + 3)):
        left += int(rng.integers(0, 10))
        ids[20:26, left : left + int(rng.integers(6, 14))] = 26000 + number
    ids[14:19, 30:34] = 24000
    ids[17:20, 40:52] = 24  # people who were not told apart
    ids[height - 3 :] = 1  # ego vehicle
    return ids


def rgb_of(ids: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(H, W, 3) uint8 whose red channel tells the class; void looks like road, and 3 % of the pixels lie."""
    labels = np.where(ids < 1000, ids, ids // 1000)
    index = np.zeros(SIZE, dtype=np.int64)
    for position, label in enumerate(LABELS):
        index[labels == label] = position
    wrong = rng.random(SIZE) < 0.03
    index[wrong] = rng.integers(0, len(LABELS), int(wrong.sum()))
    rgb = rng.integers(0, 256, (*SIZE, 3))
    rgb[..., 0] = STEP * index + rng.integers(0, 4, SIZE)
    return rgb.astype(np.uint8)


def write_tree(root: Path, images: int = 6, split: str = "val") -> list[str]:
    """leftImg8bit and gtFine of a split below `root`; the image ids in the order of the data set."""
    names = []
    for number in range(images):
        city = CITIES[number * len(CITIES) // images]
        name = f"{city}_{number:06d}_000019"
        rng = np.random.default_rng(number)
        ids = instance_ids(rng)
        for kind, suffix, pixels in (
            ("leftImg8bit", "leftImg8bit", rgb_of(ids, rng)),
            ("gtFine", "gtFine_instanceIds", ids),
        ):
            folder = root / kind / split / city
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{name}_{suffix}.png")
        names.append(name)
    return names


def write_model(folder: Path, name: str = "Bands") -> Path:
    """mine.yaml and mine.py; the path of the YAML."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "mine.py").write_text(MODEL_PY, encoding="utf-8")
    yaml = folder / "mine.yaml"
    yaml.write_text(MODEL_YAML.format(name=name), encoding="utf-8")
    return yaml


def image_file(root: Path, image_id: str) -> Path:
    return root / "leftImg8bit" / "val" / image_id.partition("_")[0] / f"{image_id}_leftImg8bit.png"


def label_file(root: Path, image_id: str) -> Path:
    return root / "gtFine" / "val" / image_id.partition("_")[0] / f"{image_id}_gtFine_instanceIds.png"


def bench(*arguments: object, python: Sequence[str] = ("-m", "bench"), **environment: str) -> subprocess.Popen[str]:
    """The command line in a process of its own, with an environment that is the same on every machine."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("BENCH_", "CITYSCAPES_", "DETECTRON2_"))}
    return subprocess.Popen(
        [sys.executable, *python, *(str(a) for a in arguments)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**clean, **environment},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background inherits "ignore"
    )  # fmt: skip
