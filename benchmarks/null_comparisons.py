"""How often a comparison of two equal models finds a difference: the rate should be at most 5 %.

    python benchmarks/null_comparisons.py [RUN RUN] [--comparisons N] [--replicates N] [--seed N]

For each comparison a coin per image swaps the sums of two stored runs, so that neither side is better.
"""

import argparse
from pathlib import Path

import numpy as np
from rich.console import Console

from bench.analysis.comparison import Row, corrected, differences, run_sums
from bench.metrics.bootstrap import MEANS, Statistic, quantities, resample
from bench.metrics.errors import error_sums, losses
from bench.metrics.image_statistics import ImageSums
from bench.metrics.pq import GROUPS
from bench.metrics.size import size_quality, size_sums
from bench.results.run import find_run

RESULTS = Path(__file__).parents[1] / "results/minicity-val"
STATISTICS = (quantities, losses, size_quality)


def swapped(a: ImageSums, b: ImageSums, heads: np.ndarray) -> tuple[ImageSums, ImageSums]:
    """Return both sums with those of the images swapped where `heads`, (N,), is true."""
    one, other = np.where(heads, b.parts, a.parts), np.where(heads, a.parts, b.parts)
    return tuple(ImageSums.of_parts(a.categories, a.image_ids, a.groups, parts, a.names) for parts in (one, other))


def compared(runs: tuple[ImageSums, ImageSums], of: Statistic, seed: int, replicates: int) -> list[Row]:
    """Return the differences of a statistic, as `bench compare` computes them."""
    draws = resample(runs, replicates=replicates, seed=seed, of=of)
    totals = [dict(zip(run.names, run.parts.sum(axis=2, keepdims=True), strict=True)) for run in runs]
    return differences([of(parts, run.categories)[:, 0] for parts, run in zip(totals, runs, strict=True)], draws)


def null_comparison(pairs: list[tuple[ImageSums, ImageSums]], seed: int, replicates: int) -> np.ndarray:
    """Return which of MEANS have an interval without 0, and whether a class, error or size differs after correction."""
    heads = np.random.default_rng([seed, 1]).random(len(pairs[0][0].image_ids)) < 0.5
    scores, *breakdowns = (
        compared(swapped(*pair, heads), of, seed, replicates) for pair, of in zip(pairs, STATISTICS, strict=True)
    )
    deltas = [row[2] for row in scores[: len(MEANS)]]
    apart = [e.low is not None and (e.low > 0 or e.high < 0) for e in deltas]
    families = [scores[len(MEANS) :], *(rows[:: len(GROUPS)] for rows in breakdowns)]
    found = [any(row.sure for row in corrected([""] * len(rows), rows, replicates)) for rows in families]
    return np.array([*apart, *found])


def rate(count: int, total: int) -> str:
    """Format a share with its 95 % interval (Wilson, 1927)."""
    z, share = 1.96, count / total
    middle, half = share + z**2 / (2 * total), z * np.sqrt(share * (1 - share) / total + z**2 / (4 * total**2))
    low, high = ((middle + sign * half) / (1 + z**2 / total) for sign in (-1, 1))
    return f"{count} of {total}: {100 * share:.1f} % ({100 * max(low, 0):.1f} to {100 * high:.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="*", default=[str(RESULTS / "mask2former"), str(RESULTS / "maskformer")])
    parser.add_argument("--comparisons", type=int, default=200)
    parser.add_argument("--replicates", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    a, b = (find_run(run, RESULTS.parent) for run in asked.runs)
    parsed = [(run.stored.columns, run.categories, run.score.protocol) for run in (a, b)]
    pairs = [(run_sums(a), run_sums(b)), *(tuple(sums(*one) for one in parsed) for sums in (error_sums, size_sums))]
    seeds = range(asked.seed, asked.seed + asked.comparisons)
    counts = sum(null_comparison(pairs, seed, asked.replicates).astype(int) for seed in seeds)
    say = Console(highlight=False).print
    say(f"{asked.comparisons} null comparisons of {a.score.images} images, {asked.replicates} replicates each")
    families = (f"any of {len(a.categories)} classes", "any type of error", "any size")
    names = (*MEANS, *(f"{family}, after Holm's correction" for family in families))
    for name, count in zip(names, counts, strict=True):
        say(f"{name}: {rate(int(count), asked.comparisons)}")


if __name__ == "__main__":
    main()
