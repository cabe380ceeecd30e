"""One trained model's logits through four fusions: ours (two presets), transformers' and mmdetection's own code.

    bench env create mmdet && python benchmarks/parity.py [--images 50] [--dataset minicity:val]

Logits and thresholds (those of the model's checkpoint) are the same, only the rule differs. Printed for each: PQ
against the ground truth, segments an image, the share of pixels with the same class as under `mask2former`, and PQ with
`mask2former`'s maps as the truth.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from bench.adapters.mmdet_models import class_order, panoptic_of
from bench.datasets.dataset import Dataset
from bench.datasets.registry import load_dataset
from bench.fusion.logits import ImageGeometry
from bench.fusion.presets import PRESETS, FusionSpec
from bench.fusion.queries import fuse
from bench.metrics import pq
from bench.models.environments import interpreter
from bench.models.loading import load_model
from bench.models.resolve import resolve_model
from bench.models.spec import ModelSpec
from bench.overlap import Overlap
from bench.types import Categories, Panoptic, SegmentInfo

MMDET = Path(__file__).with_name("parity_mmdet.py")


@dataclass(frozen=True, eq=False)
class Item:
    """Logits and truth of one image."""

    classes: Any
    masks: Any
    frame: ImageGeometry
    truth: Panoptic


def items(spec: ModelSpec, data: Dataset) -> list[Item]:
    """Return the logits of the model in float32, and the truth, of all images."""
    model: Any = load_model(spec, "cpu")
    made = []
    for sample in data.samples:
        image = sample.read_image()
        output = model.infer([model.preprocess(image)])[0]
        frame = ImageGeometry(output.padded_size, output.image_size, image.size)
        made.append(Item(output.class_logits, output.mask_logits, frame, sample.read_target()))
    return made


def by_transformers(item: Item, space: Categories, spec: FusionSpec) -> Panoptic:
    """Return the map of `post_process_panoptic_segmentation`, stuff fused; of entries with one id the last is used."""
    from transformers import Mask2FormerImageProcessorPil

    outputs = SimpleNamespace(class_queries_logits=item.classes[None], masks_queries_logits=item.masks[None])
    (result,) = Mask2FormerImageProcessorPil().post_process_panoptic_segmentation(
        outputs, threshold=spec.score_threshold, overlap_mask_area_threshold=spec.overlap_threshold,
        label_ids_to_fuse=set(np.flatnonzero(~space.isthing).tolist()), target_sizes=[item.frame.target_size],
    )  # fmt: skip
    ids = result["segmentation"].numpy().astype(np.int32)
    infos = {s["id"]: SegmentInfo(space.ids[s["label_id"]], score=s["score"]) for s in result["segments_info"]}
    return Panoptic.from_ids(ids, infos) if infos else Panoptic(np.zeros_like(ids), ())


def by_mmdet(todo: list[Item], space: Categories, spec: FusionSpec) -> list[Panoptic]:
    """Return the maps of mmdetection's MaskFormerFusionHead, run in its own environment."""
    order = class_order(None, space)
    things_first = [order.index(i) for i in range(len(order))]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for n, item in enumerate(todo):
            np.savez(
                folder / f"{n:04d}.npz", class_logits=item.classes[:, [*things_first, len(order)]].numpy(),
                mask_logits=item.masks.numpy(), padded_size=item.frame.padded_size,
                image_size=item.frame.image_size, target_size=item.frame.target_size,
            )  # fmt: skip
        thresholds = [str(spec.score_threshold), str(spec.overlap_threshold), str(int(space.isthing.sum()))]
        command = [str(interpreter("mmdet")), "-I", "-W", "ignore", str(MMDET), name, *thresholds]
        subprocess.run(command, check=True)
        ids = [space.ids[i] for i in things_first]
        return [panoptic_of(np.load(file), ids) for file in sorted(folder.glob("*.npy"))]


def quality(truths: list[Panoptic], maps: list[Panoptic], space: Categories) -> float:
    """Return PQ of maps against truths, in percent."""
    tallies = [pq.pq_stat(Overlap.of(truth, made)) for truth, made in zip(truths, maps, strict=True)]
    return 100 * (pq.pq_table(pq.sum_stats(tallies), space).groups.all.PQ or 0.0)


def class_map(panoptic: Panoptic) -> np.ndarray:
    """Return category ids (H, W), -1 for void."""
    return np.array([-1, *(s.category_id for s in panoptic.segments_info)])[panoptic.id_map]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=50)
    parser.add_argument("--dataset", default="minicity:val")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    data = load_dataset(asked.dataset).limited(asked.images)
    spec = resolve_model("mask2former", data.name)
    space, todo = spec.space, items(spec, data)
    hf = replace(PRESETS["hf"], score_threshold=spec.fusion.score_threshold)
    made = {
        "ours, mask2former": [fuse(i.classes, i.masks, i.frame, space, spec.fusion) for i in todo],
        "mmdetection": by_mmdet(todo, space, spec.fusion),
        "ours, hf": [fuse(i.classes, i.masks, i.frame, space, hf) for i in todo],
        "transformers": [by_transformers(item, space, hf) for item in todo],
    }
    reference, truths = made["ours, mask2former"], [item.truth for item in todo]
    rows = []
    for name, maps in made.items():
        same = [float((class_map(a) == class_map(b)).mean()) for a, b in zip(maps, reference, strict=True)]
        rows.append({
            "fusion": name, "PQ": quality(truths, maps, space),
            "segments": float(np.mean([len(m.segments_info) for m in maps])), "void": void_share(maps),
            "pixels": 100 * float(np.mean(same)), "PQ_to_reference": quality(reference, maps, space),
        })  # fmt: skip
    show(rows, f"{len(todo)} images of {asked.dataset}, {spec.name}/{spec.checkpoint}", asked.json)


def void_share(maps: list[Panoptic]) -> float:
    return 100 * float(np.mean([(m.id_map == 0).mean() for m in maps]))


def show(rows: list[dict[str, Any]], title: str, as_json: bool) -> None:
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    table = Table(title=title)
    for name in ("fusion", "PQ", "segments an image", "void %", "same class %", "PQ to mask2former"):
        table.add_column(name)
    for row in rows:
        table.add_row(
            row["fusion"], *(f"{row[k]:.3f}" for k in ("PQ", "segments", "void", "pixels", "PQ_to_reference"))
        )
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
