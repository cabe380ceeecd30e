"""Invariance of a model: its predictions of the same images when batch, order, precision, threads or device change."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from bench.datasets.dataset import Dataset
from bench.datasets.label_map_files import find_label_map
from bench.datasets.label_maps import LabelMap, remap_prediction
from bench.errors import describe_error
from bench.metrics.bootstrap import PQ_PARTS, Estimate, estimates, mean_pq, point_estimates, resample
from bench.metrics.columns import Columns
from bench.metrics.image_statistics import ImageSums, image_sums
from bench.models.adapter import Adapter
from bench.models.contract import pixel_disagreement, predict
from bench.models.devices import device_kind, torch_thread_count
from bench.models.loading import open_model
from bench.models.spec import ModelSpec
from bench.overlap import Overlap
from bench.types import Image, Panoptic, Prediction, ProgressCallback

IMAGES = 4
REPLICATES = 2_000
UNKNOWN = Estimate(None, None, None)
Verdict = Literal["ok", "failed", "skipped", "shown"]


@dataclass(frozen=True)
class Tolerance:
    """Largest share of pixels that may differ, and largest change of PQ, as fractions."""

    pixels: float
    PQ: float


# Rounding moves single pixels at the borders of segments; bf16 has 8 bits of mantissa; padding changes what the network
# sees at the border of an image.
ROUNDING, PADDING, HALF = Tolerance(0.001, 0.001), Tolerance(0.02, 0.01), Tolerance(0.03, 0.02)
NAMES = ("batch of 1 against 4", "padding", "order", "precision", "threads", "device", "mirrored image")

REMEDIES = {
    "batch of 1 against 4": "take one batch size for all runs that are compared",
    "padding": "take --batch-size 1 where images have several sizes",
    "precision": "take --precision fp32",
}


@dataclass(frozen=True)
class InvarianceRow:
    """One comparison. `pixels` is the mean share that differs, `PQ` the change; `shown` has no tolerance."""

    name: str
    verdict: Verdict
    found: str
    pixels: float | None = None
    PQ: Estimate = UNKNOWN
    tolerance: Tolerance | None = None


@dataclass(frozen=True)
class InvarianceReport:
    """All comparisons of a model on some images, in the order of NAMES."""

    model: str
    dataset: str
    images: int
    rows: tuple[InvarianceRow, ...]

    @property
    def failed(self) -> bool:
        return any(row.verdict == "failed" for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Return fractions, null if undefined."""
        return {**asdict(self), "failed": self.failed}


@dataclass(frozen=True, eq=False)
class _Scene:
    image: Image
    truth: Panoptic


def check_invariance(
    spec: ModelSpec, data: Dataset, device: str = "auto", on_row: ProgressCallback | None = None
) -> InvarianceReport:
    """Compare predictions of the first four images of a data set under other conditions.

    A row fails if more pixels differ than its tolerance, or if the 95 % interval of the change of PQ, over images, lies
    outside of it. Exceptions of the model fail the row. Raises UsageError if no label map leads to the data set.
    """
    labels = find_label_map((spec.categories, spec.space), (data.space or data.name, data.categories), None)
    scenes = [_Scene(sample.read_image(), sample.read_target()) for sample in data.samples[:IMAGES]]

    def row(name: str, work: Callable[[], InvarianceRow]) -> InvarianceRow:
        try:
            return work()
        except Exception as error:
            return InvarianceRow(name, "failed", describe_error(error))

    def compared(name: str, tolerance: Tolerance | None, on: Sequence[_Scene], one: Sequence[Prediction],
                 other: Sequence[Prediction]) -> InvarianceRow:  # fmt: skip
        pixels = float(np.mean([difference(a, b) for a, b in zip(one, other, strict=True)]))
        sums = (_sums(on, [_mapped(p, labels) for p in predictions], data) for predictions in (one, other))
        return judged(name, tolerance, pixels, _change(*sums))

    rows = []
    with open_model(spec, device) as adapter:
        alone = _alone(adapter, scenes)
        for name, work in _works(spec, adapter, device, scenes, alone, compared):
            rows.append(row(name, work))
            if on_row:
                on_row(len(rows), len(NAMES))
    return InvarianceReport(f"{spec.name}/{spec.checkpoint}", f"{data.name}:{data.split}", len(scenes), tuple(rows))


Compared = Callable[
    [str, Tolerance | None, Sequence[_Scene], Sequence[Prediction], Sequence[Prediction]], InvarianceRow
]


def _works(
    spec: ModelSpec, adapter: Adapter, device: str, scenes: Sequence[_Scene], alone: Sequence[Prediction],
    compared: Compared,
) -> Iterator[tuple[str, Callable[[], InvarianceRow]]]:  # fmt: skip
    batch, padding, order, precision, threads, other_device, mirrored = NAMES
    kind = device_kind(device, spec.env)
    # One size for all, since images of several sizes are padded, which is a row of its own.
    height, width = (min(scene.image.size[axis] for scene in scenes) for axis in (0, 1))
    equal = [cropped(scene, height, width) for scene in scenes]
    # Of one shape, they would be resized to one size and not be padded.
    unequal = [cropped(s, height * (8 - k) // 8, width) for k, s in enumerate(equal)]

    def other_model(name: str, tolerance: Tolerance, asked: ModelSpec, where: str) -> InvarianceRow:
        with open_model(asked, where) as other:
            return compared(name, tolerance, scenes, alone, _alone(other, scenes))

    def in_another_order() -> InvarianceRow:
        reversed_ = _together(adapter, equal[::-1])[::-1]
        return compared(order, ROUNDING, equal, _together(adapter, equal), reversed_)

    def with_other_threads() -> InvarianceRow:
        if spec.env is not None:
            return InvarianceRow(threads, "skipped", "the threads of another environment are not set from here")
        found = []
        for count in (1, 2):
            with torch_thread_count(count) as known:
                if not known:
                    return InvarianceRow(threads, "skipped", "the model does not use torch")
                found.append(_alone(adapter, scenes))
        return compared(threads, ROUNDING, scenes, *found)

    def on_the_other_device() -> InvarianceRow:
        where = "cpu" if kind != "cpu" else device_kind("auto", spec.env)
        if where == kind:
            return InvarianceRow(other_device, "skipped", "there is no accelerator")
        return other_model(other_device, PADDING, spec, where)

    def flipped() -> InvarianceRow:
        back = [_mirrored(p) for p in _alone(adapter, [_Scene(_flip(s.image), s.truth) for s in scenes])]
        return compared(mirrored, None, scenes, alone, back)

    yield batch, lambda: compared(batch, ROUNDING, equal, _alone(adapter, equal), _together(adapter, equal))
    yield padding, lambda: compared(padding, PADDING, unequal, _alone(adapter, unequal), _together(adapter, unequal))
    yield order, in_another_order
    lower: Literal["fp32", "bf16"] = "bf16" if spec.precision == "fp32" else "fp32"
    yield precision, lambda: other_model(precision, HALF, replace(spec, precision=lower), device)
    yield threads, with_other_threads
    yield other_device, on_the_other_device
    yield mirrored, flipped


def judged(name: str, tolerance: Tolerance | None, pixels: float, change: Estimate) -> InvarianceRow:
    """Return the row of a comparison; without a tolerance it is only shown."""
    if tolerance is None:
        return InvarianceRow(name, "shown", "no tolerance: a network need not be symmetric", pixels, change)
    faults = [] if pixels <= tolerance.pixels else [f"more than {tolerance.pixels:.2%} of the pixels differ"]
    if change.low is not None and change.high is not None and max(change.low, -change.high) > tolerance.PQ:
        faults.append(f"PQ changes by more than {100 * tolerance.PQ:g} points")
    if faults and name in REMEDIES:
        faults.append(REMEDIES[name])
    return InvarianceRow(
        name, "failed" if faults else "ok", "; ".join(faults) or "within tolerance", pixels, change, tolerance
    )


def difference(one: Prediction, other: Prediction) -> float:
    """Return the share of pixels whose class or segment differs; ids may be permuted. Symmetric."""
    # `pixel_disagreement` gives each segment of the first its best one: it does not see two that became one.
    return max(pixel_disagreement(one, other), pixel_disagreement(other, one))


def cropped(scene: _Scene, height: int, width: int) -> _Scene:
    """Return the upper left part of an image and of its truth, with counted areas."""
    ids = scene.truth.id_map[:height, :width]
    infos = {
        int(i): scene.truth.segments_info[i - 1]._replace(declared_area=None) for i in np.unique(ids).tolist() if i > 0
    }
    rgb = np.ascontiguousarray(scene.image.rgb[:height, :width])
    return _Scene(replace(scene.image, rgb=rgb), Panoptic.from_ids(ids, infos, is_truth=True))


def _flip(image: Image) -> Image:
    return replace(image, rgb=np.ascontiguousarray(image.rgb[:, ::-1]))


def _mirrored(prediction: Prediction) -> Prediction:
    panoptic, semantic = prediction.panoptic, prediction.semantic
    return Prediction(
        Panoptic(np.ascontiguousarray(panoptic.id_map[:, ::-1]), panoptic.segments_info),
        None if semantic is None else np.ascontiguousarray(semantic[:, ::-1]),
    )


def _alone(adapter: Adapter, scenes: Sequence[_Scene]) -> list[Prediction]:
    return [predict(adapter, [scene.image])[0] for scene in scenes]


def _together(adapter: Adapter, scenes: Sequence[_Scene]) -> list[Prediction]:
    return predict(adapter, [scene.image for scene in scenes])


def _mapped(prediction: Prediction, labels: LabelMap | None) -> Prediction:
    return prediction if labels is None else remap_prediction(prediction, labels)


def _sums(scenes: Sequence[_Scene], predictions: Sequence[Prediction], data: Dataset) -> ImageSums:
    lines = (
        {
            "image_id": scene.image.image_id,
            "group": "",
            "overlap": Overlap.of(scene.truth, prediction.panoptic),
            "semantic": None,
        }
        for scene, prediction in zip(scenes, predictions, strict=True)
    )
    return image_sums(Columns.of(lines, data.categories), data.categories, data.semantic_rule)


def _change(one: ImageSums, other: ImageSums) -> Estimate:
    """Return the PQ of the second minus that of the first with its paired interval over images."""
    points = [point_estimates(sums)[:1] for sums in (one, other)]  # PQ is the first of the means
    before, after = resample([one, other], replicates=REPLICATES, of=mean_pq, needs=PQ_PARTS)
    return estimates(points[1] - points[0], after - before)[0]
