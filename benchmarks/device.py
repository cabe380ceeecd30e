"""The main job on an accelerator, in one go of some minutes: same results, speed against the network alone, memory.

    python benchmarks/device.py [--device auto] [--images 60] [--size 1024x2048] [--batch-size 1 4] [--small]

1. The shipped models on minicity:demo, on the CPU and on the device, by fp32: pixels that differ and PQ. For the same
   logits of a model with queries, post-processing on the CPU and on the device: pixels that differ.
2. Mask2Former Swin-L of full size with random weights that keep at least 20 segments, in fp32 and bf16: milliseconds
   of the network for an image (its batch is on the device already), those of a whole run, their ratio, and the peak
   memory. Pictures, truth and predictions are files, as in `bench run`.

It needs no download. `--small` takes a small network in place of Swin-L, to try the script on a CPU.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import transformers
from pipeline import dataset
from rich.console import Console
from rich.table import Table

from bench.datasets.dataset import Dataset
from bench.datasets.label_spaces import load_space
from bench.datasets.registry import load_dataset
from bench.evaluation.evaluator import predict_and_score
from bench.evaluation.identity import run_identity
from bench.evaluation.session import RunSession
from bench.fusion.queries import ImageGeometry, postprocess
from bench.io.hashing import FileDigests
from bench.models.contract import pixel_disagreement, predict
from bench.models.devices import device_name, empty_cache, peak_memory, pick_device, synchronize
from bench.models.loading import load_adapter
from bench.models.resolve import resolve_model, shipped_models
from bench.models.spec import NO_QUERIES, ModelSpec
from bench.results.run import Run, read_run

LARGE = dict(embed_dim=192, depths=[2, 2, 18, 2], num_heads=[6, 12, 24, 48], window_size=12)
SMALL = dict(embed_dim=24, depths=[1, 1, 1, 1], num_heads=[2, 2, 4, 4], window_size=4)
SEGMENTS, QUERIES, KEPT = 20, 200, 100  # at least so many segments; of all queries so many have a class


def same_results(device: str, images: int) -> Iterator[list[str]]:
    """Yield a row for each shipped model: how far its results on the device are from those on the CPU."""
    data = load_dataset("minicity:demo").limited(images)
    pictures = [sample.read_image() for sample in data.samples]
    for spec in shipped_models(data.name):
        found, scores, fused = [], [], "-"
        for place in ("cpu", device):
            adapter = load_adapter(spec, place)
            found.append([predict(adapter, [picture])[0] for picture in pictures])
            with evaluated(adapter, data) as run:
                scores.append(100 * run.score.PQ.all.PQ)
        if spec.fusion.rule not in NO_QUERIES:
            fused = f"{max(moved_by_fusion(adapter, picture) for picture in pictures):.4%}"
        moved = max(map(pixel_disagreement, *found))
        yield [spec.name, f"{moved:.4%}", fused, *(f"{score:.2f}" for score in scores)]


def moved_by_fusion(adapter: Any, picture: Any) -> float:
    """Return the share of pixels that differ between post-processing where the logits are and on the CPU."""
    (output,) = adapter.infer([adapter.preprocess(picture)])
    geometry = ImageGeometry(output.padded_size, output.image_size, picture.size)
    logits, rule = (output.class_logits, output.mask_logits), adapter.spec.fusion
    whole, tiles = (postprocess(*logits, geometry, adapter.categories, rule, where=w) for w in ("device", "cpu"))
    return pixel_disagreement(whole, tiles)


@contextmanager
def evaluated(adapter: Any, data: Dataset, batch_size: int = 1) -> Iterator[Run]:
    """Yield a run of an adapter in a temporary folder."""
    identity = run_identity("model", data, {"predictions": ""}, batch_size, "coco", ())
    with tempfile.TemporaryDirectory() as out:
        with RunSession(Path(out), data, identity, None, FileDigests()) as session:
            predict_and_score(adapter, session, batch_size=batch_size)
        yield read_run(Path(out))


def random_checkpoint(folder: Path, sizes: dict[str, Any]) -> None:
    """Save a Mask2Former of random weights, whose masks differ and of which KEPT of QUERIES queries have a class."""
    torch.manual_seed(0)
    names = [category.name for category in load_space("cityscapes-19").evaluated]
    backbone = transformers.SwinConfig(**sizes, out_features=["stage1", "stage2", "stage3", "stage4"])
    model = transformers.Mask2FormerForUniversalSegmentation(transformers.Mask2FormerConfig(
        backbone_config=backbone, num_queries=QUERIES, use_pretrained_backbone=False,
        id2label=dict(enumerate(names)), label2id={name: i for i, name in enumerate(names)},
    ))  # fmt: skip
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "queries_embedder" in name or "queries_features" in name or "mask_embedder" in name:
                parameter.copy_(torch.randn_like(parameter) * (3 if "queries" in name else 0.3))
            # Things, so that segments of one class stay apart.
            if "class_predictor" in name:
                parameter.copy_(0.05 * torch.randn_like(parameter))
                if name.endswith("bias"):
                    parameter[-9:-1] += 3
    model.save_pretrained(folder)


def thresholded(spec: ModelSpec, data: Dataset) -> tuple[ModelSpec, int]:
    """Return the spec with the score threshold that keeps KEPT queries of the first picture, and its segments."""
    adapter = load_adapter(spec, "cpu")
    picture = data.samples[0].read_image()
    (output,) = adapter.infer([adapter.preprocess(picture)])
    best, label = output.class_logits.softmax(-1).max(-1)
    scores = best[label < len(spec.space)].sort(descending=True).values
    threshold = float(scores[min(KEPT, len(scores) - 1)])
    chosen = replace(spec, fusion=replace(spec.fusion, score_threshold=threshold))
    adapter.spec = chosen
    return chosen, len(adapter.postprocess(output, picture.size).panoptic.segments_info)


def speed(spec: ModelSpec, data: Dataset, device: str, batch_size: int) -> list[str]:
    """Return the cells of one case: ms an image of the network and of the run, their ratio, and the peak memory."""
    if device.partition(":")[0] in ("cuda", "xpu"):
        getattr(torch, device.partition(":")[0]).reset_peak_memory_stats(device)
    adapter, batches = load_adapter(spec, device), max(3, len(data.samples) // batch_size)
    inputs = [adapter.preprocess(sample.read_image()) for sample in data.samples[:batch_size]]
    batch = adapter.collate(inputs)
    for _ in range(2):
        adapter.infer(batch)
    start = time.perf_counter()
    for _ in range(batches):
        adapter.infer(batch)
    forward = (time.perf_counter() - start) / (batches * batch_size)
    synchronize(device)
    start, cpu = time.perf_counter(), time.process_time()
    with evaluated(adapter, data, batch_size):
        wall, cpu = (time.perf_counter() - start) / len(data.samples), (time.process_time() - cpu) / len(data.samples)
    peak = peak_memory(device)
    del adapter, batch
    empty_cache(device)
    memory = "-" if peak is None else f"{peak / 2**30:.2f}"
    ms = [f"{1000 * value:.1f}" for value in (forward, wall)]
    return [
        spec.precision,
        str(batch_size),
        *ms,
        f"{wall / forward:.3f}",
        f"{1000 * cpu:.0f}",
        memory,
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--size", default="1024x2048")
    parser.add_argument("--batch-size", type=int, nargs="+", default=[1, 4])
    parser.add_argument("--small", action="store_true")
    asked = parser.parse_args()
    device, console = pick_device(asked.device), Console(width=140)
    name = "the CPU" if device == "cpu" else device_name(device) or device
    print(f"{name}, {len(os.sched_getaffinity(0))} cores, torch {torch.__version__}")
    table = Table("model", "pixels that differ", "by post-processing", "PQ on the CPU", "PQ on the device")
    for row in same_results(device, min(5, asked.images)):
        table.add_row(*row)
    console.print(table)
    table = Table("precision", "batch", "network ms", "run ms", "ratio", "CPU ms", "peak GiB")
    with tempfile.TemporaryDirectory() as folder:
        random_checkpoint(Path(folder) / "swin", SMALL if asked.small else LARGE)
        data = dataset(Path(folder) / "data", asked.size, asked.images)
        spec = resolve_model("mask2former", "minicity", checkpoint=str(Path(folder) / "swin"),
                             overrides={"fusion.overlap_threshold": 0.0})  # fmt: skip
        height, width = map(int, asked.size.split("x"))
        spec, segments = thresholded(replace(spec, input=replace(spec.input, shorter=height, longer=width)), data)
        if segments < SEGMENTS:
            raise SystemExit(f"the random weights keep {segments} segments, fewer than {SEGMENTS}")
        print(f"Mask2Former of random weights, {segments} segments in the first picture")
        for precision in ("fp32", "bf16"):
            for batch_size in asked.batch_size:
                table.add_row(*speed(replace(spec, precision=precision), data, device, batch_size))
                console.print(table)  # after each, since the time on a device may end
    console.print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
