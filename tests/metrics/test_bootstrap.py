"""The bootstrap against resampling by hand, its determinism, and the coverage of its intervals."""

from __future__ import annotations

import os

import numpy as np
import pytest
from planted import planted_scene
from scenes import SPACE
from test_score import image_lines

from bench.analysis.comparison import corrected, differences, verdict
from bench.analysis.paired_breakdown import VIEWS
from bench.errors import DataError
from bench.metrics import bootstrap
from bench.metrics.bootstrap import (
    MEANS,
    PQ_PARTS,
    estimates,
    mean_pq,
    point_estimates,
    probability_greater,
    rank_ranges,
    resample,
)
from bench.metrics.columns import Columns
from bench.metrics.image_statistics import PARTS, ImageSums, image_sums
from bench.metrics.score import score
from bench.overlap import Overlap
from bench.types import Categories, Category

POPULATIONS = int(os.environ.get("BENCH_POPULATIONS", "1000"))
THREE = Categories(tuple(Category(i, str(i), i < 3, (i, i, i)) for i in (1, 2, 3)))


def sums_of(lines: list[dict], space: Categories, rule: str) -> ImageSums:
    return image_sums(Columns.of(lines, space), space, rule)


def numbers(lines: list[dict], rule: str = "cityscapes") -> list[float]:
    """What `point_estimates` should give, by the score itself."""
    data = score(lines, SPACE, rule).to_json()
    groups = data["PQ"]
    means = [*(groups["all"][q] for q in ("PQ", "SQ", "RQ")), groups["things"]["PQ"], groups["stuff"]["PQ"]]
    means += [data["mIoU"][kind] for kind in ("semantic", "panoptic")]
    values = [*means, *(row["PQ"] for row in data["per_class"])]
    return [np.nan if value is None else value for value in values]


@pytest.mark.parametrize("rule", ["cityscapes", "detectron2"])
@pytest.mark.parametrize("semantic", [True, False])
def test_the_point_is_the_score(rule: str, semantic: bool) -> None:
    lines = image_lines(8, semantic=semantic)
    found = point_estimates(sums_of(lines, SPACE, rule))
    np.testing.assert_allclose(found, numbers(lines, rule), rtol=0, atol=1e-12)


def test_a_replicate_is_the_score_of_the_images_drawn() -> None:
    lines = image_lines(9)
    run = sums_of(lines[::-1], SPACE, "cityscapes")
    (draws,) = resample([run], replicates=70, seed=5)
    assert draws.shape == (len(MEANS) + len(SPACE), 70)
    for block, replicates in ((0, bootstrap.BLOCK), (1, 70 - bootstrap.BLOCK)):
        counts = bootstrap._counts(9, replicates, np.random.SeedSequence(5, spawn_key=(block,)))
        assert (counts.sum(axis=0) == 9).all()
        for k in (0, replicates - 1):
            drawn = [line for line, n in zip(lines, counts[:, k].astype(int), strict=True) for _ in range(n)]
            own = draws[:, block * bootstrap.BLOCK + k]
            np.testing.assert_allclose(own, numbers(drawn), rtol=0, atol=1e-6)


@pytest.mark.parametrize("view", list(VIEWS))
def test_a_replicate_of_a_breakdown_is_that_of_the_images_drawn(view: str) -> None:
    rng, asked = np.random.default_rng(2), VIEWS[view]
    overlaps = [Overlap.of(scene.truth, scene.prediction) for scene in (planted_scene(rng) for _ in range(6))]
    planted = [{"image_id": f"p{k}", "group": "pq"[k % 2], "overlap": one} for k, one in enumerate(overlaps)]
    lines = [*image_lines(3), *planted]

    def points(lines: list[dict]) -> np.ndarray:
        columns = Columns.of(lines, SPACE)
        return np.array([*asked.points(asked.table(columns, SPACE, "coco").to_json())], dtype=float)

    sums = asked.sums(Columns.of(lines[::-1], SPACE), SPACE, "coco")
    assert sums.image_ids == tuple(line["image_id"] for line in lines) and sums.groups[:5] == (*"gggpq",)
    for by_group, units in ((False, [[line] for line in lines]), (True, [lines[:3], lines[3::2], lines[4::2]])):
        (draws,) = resample([sums], replicates=12, seed=5, by_group=by_group, of=asked.statistic)
        counts = bootstrap._counts(len(units), 12, np.random.SeedSequence(5, spawn_key=(0,)))
        for k, times in enumerate(counts.T.astype(int)):
            drawn = [line for unit, n in zip(units, times, strict=True) for line in unit * n]
            np.testing.assert_allclose(draws[:, k], points(drawn), rtol=0, atol=1e-6)
        assert len(draws) == 3 * len(asked.rows) and np.isfinite(draws).any(axis=1).mean() > 0.4
    whole = asked.statistic(dict(zip(sums.names, sums.parts.sum(axis=2, keepdims=True), strict=True)), SPACE)
    np.testing.assert_allclose(whole[:, 0], points(lines), rtol=0, atol=1e-12)


def test_the_same_seed_gives_the_same_replicates_on_any_number_of_threads() -> None:
    run = sums_of(image_lines(6), SPACE, "cityscapes")
    one, four = (resample([run, run], replicates=300, seed=3, workers=workers) for workers in (1, 4))
    for a, b in zip(one, four, strict=True):
        np.testing.assert_array_equal(a, b)
    other = resample([run], replicates=300, seed=4)[0]
    assert not np.array_equal(one[0], other, equal_nan=True)


def test_a_run_against_itself_differs_by_nothing() -> None:
    run = sums_of(image_lines(6), SPACE, "cityscapes")
    a, b = resample([run, run], replicates=200)
    delta = b - a
    assert np.nanmax(np.abs(delta)) == 0
    assert {chance for chance in probability_greater(delta) if chance is not None} == {0.5}
    for found in estimates(point_estimates(run) - point_estimates(run), delta):
        assert (found.value, found.low, found.high) in {(0.0, 0.0, 0.0), (None, None, None)}


def test_groups_are_drawn_whole() -> None:
    lines = [{**line, "group": "ab"[k % 2]} for k, line in enumerate(image_lines(6))]
    run = sums_of(lines, SPACE, "cityscapes")
    (draws,) = resample([run], replicates=100, by_group=True)
    possible = [numbers(lines)[0], numbers(lines[::2])[0], numbers(lines[1::2])[0]]
    assert {int(np.argmin(np.abs(np.array(possible) - pq))) for pq in draws[0]} == {0, 1, 2}
    assert max(min(abs(pq - one) for one in possible) for pq in draws[0]) < 1e-6


def test_other_images_are_refused() -> None:
    one, two = (sums_of(image_lines(n), SPACE, "cityscapes") for n in (3, 4))
    with pytest.raises(DataError, match="not of the same images"):
        resample([one, two])


def test_percentiles_leave_out_what_is_undefined() -> None:
    draws = np.array([[np.nan, *range(1, 102)], [np.nan] * 102], np.float32)
    first, second = estimates(np.array([51.0, np.nan]), draws, 0.9)
    assert (first.value, first.low, first.high) == (51, pytest.approx(6), pytest.approx(96))
    assert (second.value, second.low, second.high) == (None, None, None)
    assert probability_greater(draws) == [1.0, None]


def test_rank_ranges() -> None:
    rng = np.random.default_rng(0)
    pq = np.stack([0.9 + 0.01 * rng.random(500), 0.5 + 0.1 * rng.random(500), 0.5 + 0.1 * rng.random(500),
                   np.full(500, np.nan)])  # fmt: skip
    assert rank_ranges(pq) == [(1, 1), (2, 3), (2, 3), None]
    assert rank_ranges(np.ones((2, 10))) == [(1, 1), (1, 1)]


def sample(rng: np.random.Generator, images: int) -> list[np.ndarray]:
    """(PARTS, 3, images) of two models on the same images, which differ in difficulty and in what they show."""
    ease = rng.beta(4, 2, images)
    segments = rng.poisson(np.array([[3.0], [1.0], [0.7]]), (3, images))
    return [_model(rng, ease, segments, skill) for skill in (0.8, 0.9)]


def _model(rng: np.random.Generator, ease: np.ndarray, segments: np.ndarray, skill: float) -> np.ndarray:
    parts = np.zeros((len(PARTS), *segments.shape))
    tp = rng.binomial(segments, skill * ease)
    fp = rng.poisson(0.4 * (1.2 - ease), segments.shape)
    parts[PARTS.index("tp")] = tp
    parts[PARTS.index("iou")] = tp * (0.6 + 0.3 * ease * skill)
    parts[PARTS.index("halves")] = tp + 0.5 * fp + 0.5 * (segments - tp)
    return parts


def as_sums(parts: np.ndarray) -> ImageSums:
    names = tuple(f"{k:05d}" for k in range(parts.shape[2]))
    return ImageSums.of_parts(THREE, names, names, parts)


def coverage(populations: int, images: int = 300, replicates: int = 600) -> tuple[float, float]:
    """How often the 95 % interval of PQ, and of a difference of PQ, holds the population's."""
    truth = [point_estimates(as_sums(parts))[0] for parts in sample(np.random.default_rng(1), 200_000)]
    hits = np.zeros(2)
    for k in range(populations):
        rng = np.random.default_rng([7, k])
        runs = [as_sums(parts) for parts in sample(rng, images)]
        draws = resample(runs, replicates=replicates, seed=k, workers=1)
        single = estimates(point_estimates(runs[0]), draws[0])[0]
        delta = estimates(point_estimates(runs[1]) - point_estimates(runs[0]), draws[1] - draws[0])[0]
        hits += [single.low <= truth[0] <= single.high, delta.low <= truth[1] - truth[0] <= delta.high]
    return tuple(hits / populations)


def test_intervals_cover_on_a_few_populations() -> None:
    """50 populations of coverage 0.95: fewer than 42 hits has a chance of about 1 in 1,000."""
    for share in coverage(50, images=200, replicates=200):
        assert share >= 42 / 50


def test_equal_models_rarely_differ_and_unlike_ones_do() -> None:
    """40 null comparisons, in which a coin per image swaps two models: more than 8 called different has a chance of
    about 1 in 5,000 at a rate of 5 %."""
    called, named, seen = 0, 0, 0
    for k in range(40):
        rng = np.random.default_rng([11, k])
        one, other = sample(rng, 200)
        heads = rng.random(200) < 0.5
        for null, pair in ((True, (np.where(heads, one, other), np.where(heads, other, one))), (False, (one, other))):
            runs = [as_sums(parts) for parts in pair]
            draws = resample(runs, replicates=200, seed=k, workers=1)
            rows = differences([point_estimates(run) for run in runs], draws)
            differs = not verdict("a", "b", rows[0][2]).startswith("no difference")
            called, seen = called + (null and differs), seen + (not null and differs)
            classes = corrected([""] * 3, rows[len(MEANS) :], 200)
            named += null and any(row.sure for row in classes)
    assert called <= 8 and named <= 8
    assert seen >= 30


@pytest.mark.parity
def test_intervals_cover_the_truth_in_95_percent() -> None:
    shares = coverage(POPULATIONS)
    print(f"{POPULATIONS} populations: coverage of PQ {shares[0]:.3f}, of a difference {shares[1]:.3f}")
    assert all(0.93 <= share <= 0.97 for share in shares)


def test_the_mean_pq_alone_is_the_first_of_the_quantities():
    runs = [sums_of(image_lines(6), SPACE, "cityscapes")] * 2
    everything, alone = resample(runs, replicates=100), resample(runs, replicates=100, of=mean_pq, needs=PQ_PARTS)
    assert all(np.array_equal(one[:1], other) for one, other in zip(everything, alone, strict=True))


def test_a_category_that_no_image_has_is_undefined() -> None:
    parts = np.zeros((len(PARTS), 3, 4))
    parts[:3, 0] = 1
    (draws,) = resample([as_sums(parts)], replicates=100)
    assert (draws[len(MEANS)] == 1).all() and np.isnan(draws[len(MEANS) + 1 :]).all()
