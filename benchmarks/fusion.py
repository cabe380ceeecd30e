"""Post-processing of query models: tiles against whole maps, and transformers. CPU milliseconds on one thread.

    python benchmarks/fusion.py [--quick]

The first table has the semantic map, the fusion of the preset `mask2former` and both by whole maps (the plain rule) and
by tiles, in turns in one process. It fails if a pixel differs. "exact" are the shares of pixels that tiles leave to the
plain rule. Logits are drawn, or the shipped models' own on a picture of minicity, enlarged to 1024x2048.
In the second table `hf` gives the same pixels as transformers, and `mask2former` is the authors' rule by tiles.
Process CPU time is measured, which depends little on other load; each ratio is the median of those of single turns.
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from types import SimpleNamespace

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor
from transformers import Mask2FormerImageProcessorPil

from bench.datasets.registry import load_dataset
from bench.fusion.assignment import PixelAssignment, assign_by_tiles, assign_pixels
from bench.fusion.logits import ImageGeometry, SelectedQueries, class_probabilities, probabilities, select
from bench.fusion.presets import PRESETS
from bench.fusion.queries import fuse
from bench.fusion.semantic import plain_semantic, tiled_semantic
from bench.fusion.tiles import MaskTiles
from bench.models.loading import open_model
from bench.models.resolve import resolve_model
from bench.types import Categories, Category


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


def scene(setting: Setting, kept: int, queries: int = 100) -> tuple[Tensor, Tensor]:
    """Return class logits (Q, C + 1) and mask logits (Q, h, w): `kept` soft-edged cells that fill the image."""
    random = torch.Generator().manual_seed(kept)
    h, w = setting.logit_size
    y, x = torch.meshgrid(torch.arange(h) / h, torch.arange(w) / w, indexing="ij")
    centre = torch.rand(kept, 2, 1, 1, generator=random)
    distance = ((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2).sqrt()
    nearest = distance.topk(2, dim=0, largest=False).values
    rival = torch.where(distance == nearest[0], nearest[1], nearest[0])
    masks = -6 + torch.randn(queries, h, w, generator=random)
    masks[:kept] = ((rival - distance) * h * 0.8).clamp(-14, 12)
    masks[:kept] += 0.4 * torch.randn(kept, h, w, generator=random)
    classes = torch.randn(queries, setting.classes + 1, generator=random)
    classes[kept:, -1] += 12
    label = torch.randint(setting.classes, (kept,), generator=random)
    classes[torch.arange(kept), label] += 12
    return classes, masks


def shipped(name: str) -> tuple[Tensor, Tensor]:
    """Return the logits of a shipped model for the first picture of minicity at 1024x2048."""
    data = load_dataset("minicity:demo").limited(1)
    spec = resolve_model(f"{name}/minicity/tiny", data.name, base=data.base, space=data.space)
    large = replace(spec, input=replace(spec.input, shorter=1024, longer=2048))
    with open_model(large, "cpu") as adapter:
        output = adapter.infer([adapter.preprocess(data.samples[0].read_image())])[0]
    return output.class_logits, output.mask_logits


@dataclass(frozen=True)
class Stage:
    """Result and CPU seconds of one computation of the semantic map and the fusion."""

    index: Tensor
    assigned: PixelAssignment
    exact: tuple[float, float]
    seconds: tuple[float, float]


def whole_maps(known: Tensor, masks: Tensor, kept: SelectedQueries, frame: ImageGeometry) -> Stage:
    start = time.process_time()
    index = plain_semantic(known, masks, frame)
    middle = time.process_time()
    found = assign_pixels(probabilities(kept.masks, frame), kept.scores, frame.target_size, 0.5, weigh_first=False)
    return Stage(index, found, (1.0, 1.0), (middle - start, time.process_time() - middle))


def by_tiles(known: Tensor, masks: Tensor, kept: SelectedQueries, frame: ImageGeometry) -> Stage:
    start = time.process_time()
    tiles = MaskTiles(masks, frame)
    index, exact = tiled_semantic(known, tiles)
    middle = time.process_time()
    found, share = assign_by_tiles(tiles.of(kept.queries, kept.masks), kept.scores, 0.5)
    return Stage(index, found, (exact, share), (middle - start, time.process_time() - middle))


def row(name: str, logits: tuple[Tensor, Tensor], frame: ImageGeometry, turns: int) -> list[str]:
    """Return the cells of one case: ms before, ms after and the ratio of semantic map, fusion and both."""
    known = class_probabilities(logits[0])
    kept = select(known, logits[1], PRESETS["mask2former"].score_threshold)
    pairs = [
        (whole_maps(known, logits[1], kept, frame), by_tiles(known, logits[1], kept, frame)) for _ in range(turns + 1)
    ][1:]
    for before, after in pairs:
        same = torch.equal(before.index, after.index) and torch.equal(
            before.assigned.code.int(), after.assigned.code.int()
        )
        if not same or before.assigned.extent != after.assigned.extent:
            raise SystemExit(f"{name}: tiles give another result than whole maps")
    cells = [name, str(len(kept.labels))]
    for part in (slice(0, 1), slice(1, 2), slice(0, 2)):
        timed = [(sum(before.seconds[part]), sum(after.seconds[part])) for before, after in pairs]
        cells += [f"{1000 * median(side):.0f}" for side in zip(*timed, strict=True)]
        cells.append(f"{median(before / after for before, after in timed):.1f}")
    return [*cells, " ".join(f"{100 * share:.3f}" for share in pairs[0][1].exact)]


def tiles_table(turns: int) -> Table:
    parts = [f"{part} {side}" for part in ("semantic", "fusion", "both") for side in ("ms", "tiles", "×")]
    table = Table("logits", "K", *parts, "exact %")
    coco, city = SETTINGS
    for name in ("mask2former", "maskformer"):
        table.add_row(*row(f"{name}-tiny", shipped(name), city.frame, turns))
    for setting in (city, coco):
        for queries in (100, 200):
            for kept in (15, 40):
                logits = scene(setting, kept, queries)
                table.add_row(*row(f"{queries} {setting.name}", logits, setting.frame, turns))
    return table


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
    with torch.inference_mode():
        Console(width=160).print(tiles_table(3 if repeats == 3 else 5))
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
