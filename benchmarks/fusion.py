"""Fusion against transformers' post-processing: CPU milliseconds an image on one thread.

    python benchmarks/fusion.py [--quick]

`hf` gives the same pixels as transformers; `mask2former` is the authors' rule, with its two resizes, on logits of 1/4
of the padded input. Process CPU time is measured, which depends little on other load.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import Mask2FormerImageProcessorPil

from bench.fusion.logits import ImageGeometry
from bench.fusion.presets import PRESETS
from bench.fusion.queries import fuse
from bench.types import Categories, Category

QUERIES = 100


@dataclass(frozen=True)
class Setting:
    name: str
    logit_size: tuple[int, int]  # (h, w)
    frame: ImageGeometry
    classes: int


SETTINGS = (
    Setting("COCO 480x640", (256, 256), ImageGeometry((1024, 1024), (768, 1024), (480, 640)), 133),
    Setting("Cityscapes 1024x2048", (256, 512), ImageGeometry((1024, 2048), (1024, 2048), (1024, 2048)), 19),
)


def scene(setting: Setting, kept: int) -> tuple[Tensor, Tensor]:
    """Return class logits (Q, C + 1) and mask logits (Q, h, w): `kept` soft-edged cells that fill the image."""
    random = torch.Generator().manual_seed(kept)
    h, w = setting.logit_size
    y, x = torch.meshgrid(torch.arange(h) / h, torch.arange(w) / w, indexing="ij")
    centre = torch.rand(kept, 2, 1, 1, generator=random)
    distance = ((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2).sqrt()
    nearest = distance.topk(2, dim=0, largest=False).values
    rival = torch.where(distance == nearest[0], nearest[1], nearest[0])
    masks = -6 + torch.randn(QUERIES, h, w, generator=random)
    masks[:kept] = ((rival - distance) * h * 0.8).clamp(-14, 12)
    masks[:kept] += 0.4 * torch.randn(kept, h, w, generator=random)
    classes = torch.randn(QUERIES, setting.classes + 1, generator=random)
    classes[kept:, -1] += 12
    label = torch.randint(setting.classes, (kept,), generator=random)
    classes[torch.arange(kept), label] += 12
    return classes, masks


def contenders(setting: Setting, kept: int) -> dict[str, Callable[[], object]]:
    classes, masks = scene(setting, kept)
    stuff_from = setting.classes // 2
    space = Categories(tuple(Category(i, str(i), i < stuff_from, (0, 0, 0)) for i in range(setting.classes)))
    fused = set(range(stuff_from, setting.classes))
    processor = Mask2FormerImageProcessorPil()
    outputs = SimpleNamespace(class_queries_logits=classes[None], masks_queries_logits=masks[None])
    sizes = [setting.frame.target_size]

    def transformers() -> object:
        return processor.post_process_panoptic_segmentation(outputs, label_ids_to_fuse=fused, target_sizes=sizes)

    def ours(preset: str) -> Callable[[], object]:
        return lambda: fuse(classes, masks, setting.frame, space, PRESETS[preset])

    return {"transformers": transformers, "hf": ours("hf"), "mask2former": ours("mask2former")}


def cpu_ms(call: Callable[[], object], repeats: int) -> float:
    """Return the median process CPU time of a call in ms, after one warm-up call."""
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        times.append(time.process_time() - start)
    return 1000 * sorted(times)[len(times) // 2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="fewer repeats")
    repeats = 3 if parser.parse_args().quick else 11
    torch.set_num_threads(1)
    table = Table("image", "K", "transformers ms", "hf ms", "ratio", "mask2former ms", "ratio")
    for setting in SETTINGS:
        for kept in (5, 15, 40):
            with torch.inference_mode():
                ms = {name: cpu_ms(call, repeats) for name, call in contenders(setting, kept).items()}
            theirs = ms["transformers"]
            ratios = {name: f"{theirs / value:.1f}" for name, value in ms.items()}
            cells = [f"{theirs:.1f}"]
            for name in ("hf", "mask2former"):
                cells += [f"{ms[name]:.1f}", ratios[name]]
            table.add_row(setting.name, str(kept), *cells)
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
