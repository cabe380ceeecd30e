"""How far a run is from the speed of its device: wall time against the time of the forward passes alone.

    python benchmarks/pipeline.py [--images 60] [--sleep 50 150] [--size 1024x2048 480x640] [--workers N]

The model is the shipped Mask2Former, whose network sleeps as if it waited for a GPU and returns its own logits of one
picture. All else is that of `bench run`: pictures and truth are read from disk, predictions are written and scored.
Truth and pictures are those of minicity, enlarged, with noise so that the files are as large as those of photographs.
CPU milliseconds an image are those of the threads of each stage. The stages together can be no faster than their CPU
time over the cores; where the ratio is above 1.05, the last column names what binds. A busy machine has fewer cores.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
from PIL import Image as PilImage
from rich.console import Console
from rich.table import Table

from bench.adapters.transformers_models import Mask2Former
from bench.datasets.coco import CocoFiles, samples
from bench.datasets.dataset import Dataset
from bench.datasets.label_spaces import load_space
from bench.datasets.registry import load_dataset
from bench.evaluation.evaluator import predict_and_score
from bench.evaluation.identity import run_identity
from bench.evaluation.session import RunSession
from bench.io.coco_writer import coco_categories, write_panoptic
from bench.io.files import write_json
from bench.io.hashing import FileDigests
from bench.models.resolve import resolve_model
from bench.models.spec import ModelSpec
from bench.results import image_line
from bench.results.prediction_writer import PredictionWriter
from bench.types import Panoptic

DRAWN = 6  # pictures; the others are copies
MOST = 1.05  # of the wall time over that of the forward passes
INPUTS = {"1024x2048": (1024, 2048), "480x640": (800, 1333)}  # (shorter, longer) of Cityscapes and COCO
STAGES = ("read", "preprocess", "postprocess", "write", "score")


class Asleep(Mask2Former):
    """Mask2Former with a network that sleeps for `seconds` an image and returns logits that it computed before."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__(spec, "cpu")
        self.seconds, self.forward, self.known = 0.0, 0.0, {}

    def logits(self, pixels: Any, real: Any) -> tuple[Any, Any]:
        size = pixels.shape[-2:]
        if size not in self.known:
            self.known[size] = super().logits(pixels[:1], real[:1])
        start = time.perf_counter()
        time.sleep(self.seconds * len(pixels))
        self.forward += time.perf_counter() - start
        classes, masks = self.known[size]
        return classes.expand(len(pixels), -1, -1), masks.expand(len(pixels), -1, -1, -1)


def dataset(root: Path, size: str, images: int) -> Dataset:
    """Write a data set of `images` pictures below `root` and return it."""
    shape = tuple(map(int, size.split("x")))
    space = load_space("cityscapes-19")
    for folder in ("gt", "images"):
        (root / folder).mkdir(parents=True)
    ending = "png" if shape[0] > 512 else "jpg"
    annotations: list[dict[str, Any]] = []
    for number, sample in enumerate(load_dataset("minicity:demo").limited(DRAWN).samples):
        picture, truth = PilImage.fromarray(sample.read_image().rgb), sample.read_target()
        rgb = np.asarray(picture.resize(shape[::-1], PilImage.Resampling.BICUBIC)).astype(np.float32)
        rgb += np.random.default_rng(number).normal(0, 2, rgb.shape)
        PilImage.fromarray(rgb.clip(0, 255).astype(np.uint8)).save(root / f"images/{number}.{ending}", compress_level=6)
        ids = PilImage.fromarray(truth.id_map).resize(shape[::-1], PilImage.Resampling.NEAREST)
        large = Panoptic.from_ids(np.asarray(ids), dict(enumerate(truth.segments_info, 1)), is_truth=True)
        annotations.append({**write_panoptic(root / f"gt/{number}.png", large), "image_id": str(number)})
    for number in range(DRAWN, images):
        shutil.copy(root / f"images/{number % DRAWN}.{ending}", root / f"images/{number}.{ending}")
        shutil.copy(root / f"gt/{number % DRAWN}.png", root / f"gt/{number}.png")
        annotations.append({**annotations[number % DRAWN], "image_id": str(number), "file_name": f"{number}.png"})
    listed = [
        {"id": str(k), "file_name": f"{k}.{ending}", "height": shape[0], "width": shape[1]} for k in range(images)
    ]
    categories = coco_categories(space.evaluated)
    write_json(root / "gt.json", {"images": listed, "annotations": annotations[:images], "categories": categories})
    found, classes, pictures = samples(CocoFiles(root / "gt.json", root / "gt", root / "images"), space)
    return Dataset("pictures", "all", classes, found, "cityscapes", pictures=pictures)


class CpuClock:
    """CPU seconds by stage, of the threads that ran it."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    def timed(self, stage: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **options: Any) -> Any:
            start = time.thread_time()
            try:
                return work(*arguments, **options)
            finally:
                self.seconds[stage] += time.thread_time() - start  # under the GIL: at most a rare addition is lost

        return wrapped

    @contextmanager
    def watching(self, model: Asleep, data: Dataset) -> Iterator[Dataset]:
        read = tuple(replace(s, read_image=self.timed("read", s.read_image)) for s in data.samples)
        with (
            patch.object(model, "preprocess", self.timed("preprocess", model.preprocess)),
            patch.object(model, "postprocess", self.timed("postprocess", model.postprocess)),
            patch.object(PredictionWriter, "write", self._write(PredictionWriter.write)),
            patch("bench.evaluation.evaluator.image_line", self.timed("score", image_line.image_line)),
        ):
            yield replace(data, samples=read)

    def _write(self, write: Callable[..., None]) -> Callable[..., None]:
        timed = self.timed("write", write)
        return lambda writer, *arguments: timed(writer, *arguments)


def measure(model: Asleep, data: Dataset, seconds: float, workers: int | None) -> list[str]:
    """Return the cells of one case."""
    clock, images = CpuClock(), len(data.samples)
    model.infer([model.preprocess(data.samples[0].read_image())])  # computes the logits
    model.seconds, model.forward = seconds, 0.0
    identity = run_identity(model.spec.name, data, {}, 1, "coco", ())
    options = {} if workers is None else {"workers": workers}
    with (
        tempfile.TemporaryDirectory() as out,
        clock.watching(model, data) as watched,
        RunSession(Path(out), watched, identity, None, FileDigests()) as session,
    ):
        start, cpu = time.perf_counter(), time.process_time()
        predict_and_score(model, session, **options)
        wall, cpu = time.perf_counter() - start, time.process_time() - cpu
    model.seconds = 0.0
    each = [1000 * clock.seconds[stage] / images for stage in STAGES]
    whole = 1000 * cpu / images
    ratio = wall / model.forward
    cores = len(os.sched_getaffinity(0))
    binds = "the device" if ratio <= MOST else binding(each, whole, 1000 * model.forward / images, cores)
    return [
        f"{1000 * seconds:.0f}", f"{wall:.1f}", f"{model.forward:.1f}", f"{ratio:.2f}",
        *(f"{value:.0f}" for value in (*each, whole - sum(each), whole)), binds,
    ]  # fmt: skip


def binding(each: Sequence[float], whole: float, forward: float, cores: int) -> str:
    """Return what takes longer than the forward passes: CPU time, by its largest stage, or the order of the stages."""
    longest = STAGES[max(range(len(each)), key=lambda k: each[k])]
    if whole / cores > forward:
        return f"CPU: {whole:.0f} ms on {cores} cores, most in {longest}; {whole / forward:.0f} cores are enough"
    return f"neither CPU ({whole / cores:.0f} ms an image on {cores} cores) nor device: a busy machine, or the order"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=60)
    parser.add_argument("--sleep", type=float, nargs="+", default=[50, 150], help="milliseconds")
    parser.add_argument("--size", nargs="+", choices=INPUTS, default=list(INPUTS))
    parser.add_argument("--workers", type=int)
    asked = parser.parse_args()
    spec = resolve_model("mask2former/minicity/tiny", "minicity")
    names = ["size", "sleep ms", "wall s", "forward s", "ratio", *STAGES, "rest", "CPU ms", "binds"]
    table = Table(*names)
    with tempfile.TemporaryDirectory() as folder:
        for size in asked.size:
            shorter, longer = INPUTS[size]
            model = Asleep(replace(spec, input=replace(spec.input, shorter=shorter, longer=longer)))
            data = dataset(Path(folder) / size, size, asked.images)
            for milliseconds in asked.sleep:
                table.add_row(size, *measure(model, data, milliseconds / 1000, asked.workers))
    print(f"{asked.images} images on {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f}")
    Console(width=200).print(table)


if __name__ == "__main__":
    main()
