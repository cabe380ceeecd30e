"""Small panoptic scenes for the tests: by hand, and drawn by hypothesis."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from bench.metrics.boundary import boundary_column
from bench.metrics.semantic import confusion, semantic_from_panoptic
from bench.overlap import Overlap
from bench.types import Categories, Category, Panoptic, SegmentInfo

SPACE = Categories(tuple(Category(i, f"class {i}", isthing=i < 4, color=(i, i, i)) for i in (1, 2, 3, 70, 71, 200)))


def panoptic(rows: Sequence[Sequence[int]] | NDArray[Any], infos: dict[int, SegmentInfo]) -> Panoptic:
    """A map from rows of ids; 0 is void."""
    return Panoptic.from_ids(np.asarray(rows, dtype=np.int64), infos)


def strip(*runs: tuple[int, int]) -> list[list[int]]:
    """A map of one row, from (id, pixels) runs."""
    return [[number for number, pixels in runs for _ in range(pixels)]]


@dataclass(frozen=True)
class Side:
    """One map as a COCO panoptic file holds it: (H, W) ids and segments_info."""

    ids: NDArray[np.int64]
    segments_info: list[dict[str, Any]]

    def panoptic(self) -> Panoptic:
        infos = {
            s["id"]: SegmentInfo(s["category_id"], bool(s["iscrowd"]), declared_area=s.get("area"))
            for s in self.segments_info
        }
        return Panoptic.from_ids(self.ids, infos)


@dataclass(frozen=True)
class Scene:
    truth: Side
    prediction: Side


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    """Void and gaps on both sides, crowds (several of one category too), declared areas that are wrong,
    ids up to 24 bits, predictions that list id 0, empty predictions, classes and groups that are absent.

    hypothesis draws (and shrinks) the frame of a scene, a seed fills it: filling it byte by byte gives
    mostly zeros.
    """
    shape = draw(st.integers(1, 8)), draw(st.integers(1, 10))
    segments, strays = draw(st.integers(0, 6)), draw(st.sampled_from([0.0, 0.1, 0.3, 0.6, 1.0]))
    few = draw(st.sampled_from([SPACE.ids, SPACE.ids[:2], (1, 70), (200,)]))  # crowds then share a category
    first_is_void = draw(st.integers(0, 3)) > 0
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return _filled(rng, shape, segments, strays, few, first_is_void)


def seeded_scene(rng: np.random.Generator) -> Scene:
    """What `scenes` draws, from a generator alone: ten times as fast, for counts that hypothesis is too slow for."""
    shape = int(rng.integers(1, 9)), int(rng.integers(1, 11))
    few = (SPACE.ids, SPACE.ids[:2], (1, 70), (200,))[rng.integers(4)]
    strays = float(rng.choice([0.0, 0.1, 0.3, 0.6, 1.0]))
    return _filled(rng, shape, int(rng.integers(0, 7)), strays, few, first_is_void=bool(rng.random() < 0.75))


def drawn_line(seed: int) -> dict:
    """A stored line: some declared areas have a fraction, some are missing; now and then there is no semantic map."""
    rng = np.random.default_rng(seed)
    scene = seeded_scene(rng)
    truth, prediction = scene.truth.panoptic(), scene.prediction.panoptic()
    overlap = Overlap.of(truth, prediction).to_json()
    for segment in overlap["truth"]:
        segment[3] = [segment[3], None, segment[3] + 0.25][rng.choice(3, p=[0.8, 0.15, 0.05])]
    rows = confusion(semantic_from_panoptic(truth, SPACE), rng.choice(SPACE.ids, truth.size), SPACE)
    line = {
        "image_id": f"{rng.integers(1000)}-{seed}", "group": "ab"[seed % 2], "overlap": overlap,
        "semantic": rows, "boundary": boundary_column(truth, prediction),
    }  # fmt: skip
    return json.loads(json.dumps(line))


def _filled(
    rng: np.random.Generator,
    shape: tuple[int, int],
    segments: int,
    strays: float,
    few: Sequence[int],
    first_is_void: bool,
) -> Scene:
    truth = rng.integers(0, segments + 1, shape)
    truth = truth[:, np.sort(rng.integers(0, shape[1], shape[1]))]  # runs of equal columns: not only dust
    prediction = np.where(rng.random(shape) < strays, rng.integers(0, segments + 2, shape), truth)
    return Scene(
        _side(rng, truth, few, first_is_void=True, truth=True),
        _side(rng, prediction, few, first_is_void=first_is_void, truth=False),
    )


def _side(
    rng: np.random.Generator, cells: NDArray[Any], few: Sequence[int], *, first_is_void: bool, truth: bool
) -> Side:
    """Gives the numbers 0..7 of `cells` ids, categories and areas; number 0 keeps id 0, void or listed.

    The category goes with the number, so that the two sides mostly agree.
    """
    numbers = [number for number in np.unique(cells).tolist() if number or not first_is_void]
    bits = int(rng.choice([6, 8, 17, 17, 24]))
    ids = rng.integers(0, 2**bits // 8, 8) * 8 + np.arange(8)  # distinct
    ids[0] = 0
    infos = [
        {
            "id": int(ids[k]),
            "category_id": few[(k + int(rng.random() < 0.1)) % len(few)],
            "iscrowd": int(truth and rng.random() < 0.3),
            "area": max(1, int((cells == k).sum()) + (truth and rng.random() < 0.2) * int(rng.integers(-8, 9))),
        }
        for k in rng.permutation(numbers).tolist()
    ]
    return Side(ids[cells], infos)
