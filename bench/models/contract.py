"""Contract checks of an adapter: two images through every stage, then checks of the output."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

from bench.errors import BenchError, describe_error
from bench.models.adapter import Adapter, PredictOnlyAdapter
from bench.models.flops import count_macs
from bench.types import Categories, Image, Prediction

Verdict = Literal["ok", "differs", "not tested", "failed"]
# Rounding may move some pixels between batches of 1 and 2; outputs of mixed-up images move most of them.
SAME_SIZE = 0.05  # share of pixels


@dataclass(frozen=True)
class ContractCheck:
    """One checked requirement. `differs` is allowed but noteworthy; `not tested` gives the missing precondition."""

    name: str
    verdict: Verdict
    found: str


@dataclass(frozen=True)
class ContractReport:
    """All checks of a model, in order."""

    model: str
    checks: tuple[ContractCheck, ...]

    @property
    def failed(self) -> bool:
        return any(check.verdict == "failed" for check in self.checks)

    def to_json(self) -> dict[str, Any]:
        return {"model": self.model, "failed": self.failed, "checks": [asdict(check) for check in self.checks]}


def contract_images(rgb: np.ndarray[Any, np.dtype[np.uint8]]) -> tuple[Image, Image]:
    """Return an (H, W, 3) image and a crop of it with another size and aspect ratio."""
    height, width = rgb.shape[0] * 2 // 3, rgb.shape[1] // 2
    return Image("whole", rgb), Image("part", np.ascontiguousarray(rgb[:height, :width]))


def check_contract(name: str, adapter: Adapter, images: tuple[Image, Image]) -> ContractReport:
    """Check an adapter on two images of different sizes. Exceptions of the model become failed checks."""
    checks = [_categories(getattr(adapter, "categories", None)), _stages(adapter)]
    if any(check.verdict == "failed" for check in checks):
        return ContractReport(name, tuple(checks))
    # A model that writes into its input would change the image for later stages.
    before = [image.rgb.copy() for image in images]
    try:
        alone = [predict(adapter, [image])[0] for image in images]
    except Exception as error:
        checks.append(ContractCheck("predicts", "failed", describe_error(error)))
        return ContractReport(name, tuple(checks))
    untouched = all(np.array_equal(kept, image.rgb) for kept, image in zip(before, images, strict=True))
    checks.append(_check("images are left as they are", untouched, "unchanged", "the model writes into image.rgb"))
    checks += _outputs(alone, images, adapter.categories)
    checks += [_guarded("predicts again", work) for work in _repeats(adapter, images, alone)]
    checks.append(_guarded("multiply-adds", lambda: _cost(adapter, images[0])))
    return ContractReport(name, tuple(checks))


def predict(adapter: Adapter, images: Sequence[Image]) -> list[Prediction]:
    outputs = adapter.infer([adapter.preprocess(image) for image in images])
    if len(outputs) != len(images):
        raise BenchError(f"infer gave {len(outputs)} outputs for {len(images)} images")
    return [adapter.postprocess(output, image.size) for output, image in zip(outputs, images, strict=True)]


def _check(name: str, passed: bool, found: str, fault: str) -> ContractCheck:
    return ContractCheck(name, "ok", found) if passed else ContractCheck(name, "failed", fault)


def _guarded(name: str, work: Callable[[], ContractCheck]) -> ContractCheck:
    try:
        return work()
    except Exception as error:
        return ContractCheck(name, "failed", describe_error(error))


def _cost(adapter: Adapter, image: Image) -> ContractCheck:
    found = count_macs(adapter, image)
    if found is None:
        return ContractCheck("multiply-adds", "ok", "None: they are not counted")
    told = isinstance(found, int) and found > 0
    return _check("multiply-adds", told, f"{found / 1e9:.3g} G an image", f"{found!r} is not a positive integer"[:200])


def _categories(categories: Any) -> ContractCheck:
    if not isinstance(categories, Categories) or not len(categories):
        return ContractCheck(
            "categories", "failed", f"categories must be bench.types.Categories, not {categories!r}"[:200]
        )
    things = int(categories.isthing.sum())
    return ContractCheck("categories", "ok", f"{things} things, {len(categories) - things} stuff")


def _stages(adapter: Adapter) -> ContractCheck:
    if isinstance(adapter, PredictOnlyAdapter):
        return _check("stages", callable(getattr(adapter.model, "predict", None)), "predict", "there is no predict")
    absent = [stage for stage in ("preprocess", "infer", "postprocess") if not callable(getattr(adapter, stage, None))]
    return _check("stages", not absent, "preprocess, infer, postprocess", f"there is no {' and no '.join(absent)}")


def _outputs(predictions: Sequence[Any], images: Sequence[Image], categories: Categories) -> Iterator[ContractCheck]:
    strange = [type(p).__name__ for p in predictions if not isinstance(p, Prediction)]
    yield _check("predictions", not strange, "bench.types.Prediction", f"a {strange[:1]} in place of a Prediction")
    if strange:
        return
    sizes = [(p.panoptic.id_map.shape, image.size) for p, image in zip(predictions, images, strict=True)]
    wrong = [f"{got} for an image of {size} (H, W)" for got, size in sizes if got != size]
    yield _check("panoptic size", not wrong, " and ".join(str(size) for _, size in sizes), "; ".join(wrong))
    yield from _segments([p.panoptic for p in predictions], categories)
    yield _semantic(predictions, images, categories)


def _segments(maps: Sequence[Any], categories: Categories) -> Iterator[ContractCheck]:
    counts = [len(panoptic.segments_info) for panoptic in maps]
    found = f"{counts[0]} and {counts[1]} segments"
    names = ("dense ids", "category ids", "stuff is one segment a class", "scores")
    if not any(counts):
        yield from (
            ContractCheck(name, "not tested", "no segment came out; lower the thresholds with --set") for name in names
        )
        return
    listed = [set(range(1, count + 1)) for count in counts]
    dense = all(set(np.unique(p.id_map).tolist()) - {0} == ids for p, ids in zip(maps, listed, strict=True))
    yield _check(names[0], dense, found, "the map's values are not 1 to the number of segments, 0 for void")
    infos = [info for panoptic in maps for info in panoptic.segments_info]
    used = sorted({info.category_id for info in infos})
    strange = [i for i in used if i not in categories.index_of]
    yield _check(names[1], not strange, f"{len(used)} classes", f"{strange[:5]} are not in the model's label space")
    stuff = [[i.category_id for i in p.segments_info if _is_stuff(i.category_id, categories)] for p in maps]
    twice = sorted({i for ids in stuff for i in ids if ids.count(i) > 1})
    kinds = f"{len(infos) - sum(map(len, stuff))} things, {sum(map(len, stuff))} stuff"
    several = f"{kinds}; category ids {twice[:5]} have several, and each counts as a segment"
    yield ContractCheck(names[2], "differs", several) if twice else ContractCheck(names[2], "ok", kinds)
    out = [info.score for info in infos if info.score is not None and not 0 <= info.score <= 1]
    yield _check(names[3], not out, "None, or in 0..1", f"{out[:3]} lie outside 0..1")


def _is_stuff(category_id: int, categories: Categories) -> bool:
    return category_id in categories.index_of and not categories.isthing[categories.index_of[category_id]]


def _semantic(predictions: Sequence[Prediction], images: Sequence[Image], categories: Categories) -> ContractCheck:
    maps = [p.semantic for p in predictions]
    if all(m is None for m in maps):
        return ContractCheck("semantic map", "ok", "None: no semantic mIoU")
    for m, image in zip(maps, images, strict=True):
        if m is None:
            return ContractCheck("semantic map", "failed", "one image has one and the other has none")
        if m.shape != image.size or not np.issubdtype(m.dtype, np.integer):
            return ContractCheck("semantic map", "failed", f"{m.shape} {m.dtype} for an image of {image.size} (H, W)")
        strange = sorted(set(np.unique(m).tolist()) - set(categories.ids))
        if strange:
            return ContractCheck("semantic map", "failed", f"{strange[:5]} are not in the model's label space")
    return ContractCheck("semantic map", "ok", "category ids at the size of the image")


def _repeats(
    adapter: Adapter, images: tuple[Image, Image], alone: Sequence[Prediction]
) -> Iterator[Callable[[], ContractCheck]]:
    first, second = images

    def again() -> ContractCheck:
        moved = [pixel_disagreement(predict(adapter, [image])[0], p) for image, p in zip(images, alone, strict=True)]
        fault = f"the second time {max(moved):.2%} of the pixels differ: seed it, or use deterministic algorithms"
        return _check("the same twice", max(moved) == 0, "equal", fault)

    def same_size() -> ContractCheck:
        mirrored = Image("mirrored", np.ascontiguousarray(first.rgb[:, ::-1]))
        expected = [alone[0], predict(adapter, [mirrored])[0]]
        moved = max(map(pixel_disagreement, predict(adapter, [first, mirrored]), expected))
        fault = f"{moved:.2%} of the pixels differ from one by one: outputs out of order, or a state between images?"
        return _check("a batch of one size", moved <= SAME_SIZE, f"{moved:.2%} of the pixels differ", fault)

    def two_sizes() -> ContractCheck:
        moved = max(map(pixel_disagreement, predict(adapter, [first, second]), alone))
        found = f"{moved:.2%} of the pixels differ from one by one"
        name = "a batch of two sizes"
        return (
            ContractCheck(name, "ok", found)
            if moved == 0
            else ContractCheck(name, "differs", f"{found}: padding; use --batch-size 1")
        )

    yield from (again, same_size, two_sizes)


def pixel_disagreement(one: Prediction, other: Prediction) -> float:
    """Return the fraction of pixels whose segment or class differs between two predictions; 1 if sizes differ."""
    maps = [p.panoptic.id_map for p in (one, other)]
    semantic = [p.semantic for p in (one, other)]
    if maps[0].shape != maps[1].shape or (semantic[0] is None) != (semantic[1] is None):
        return 1.0
    relabelled = 0.0 if semantic[0] is None else float(np.mean(semantic[0] != semantic[1]))
    pairs = np.unique(np.stack([m.ravel() for m in maps], axis=1), axis=0, return_counts=True)
    classes = [[None, *(info.category_id for info in p.panoptic.segments_info)] for p in (one, other)]
    best: dict[int, int] = {}
    for (i, j), count in zip(pairs[0].tolist(), pairs[1].tolist(), strict=True):
        if (i == 0) == (j == 0) and classes[0][i] == classes[1][j]:
            best[i] = max(best.get(i, 0), count)
    return max(relabelled, 1 - sum(best.values()) / maps[0].size)
