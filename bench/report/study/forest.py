"""All differences on one axis: the interval over images, and what seeds do, which it must leave behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.report.page.plot import Axis, linear
from bench.study.contrasts import Verdict


@dataclass(frozen=True)
class Mark:
    """Places in percent of the axis: the difference, its interval, and minus to plus what seeds do."""

    verdict: Verdict
    dot: float
    low: float
    high: float
    noise: tuple[float, float] | None


@dataclass(frozen=True)
class Forest:
    """`axis` is in points of PQ."""

    axis: Axis
    zero: float
    marks: tuple[Mark, ...]


def forest(said: Sequence[Verdict]) -> Forest | None:
    """None where nothing was compared."""
    if not said:
        return None
    reach = max(100 * max(abs(x or 0.0) for x in (v.delta.low, v.delta.high, v.yardstick)) for v in said)
    axis = linear([-reach, reach] if reach else [-1.0, 1.0], from_zero=False)
    return Forest(axis, axis.place(0.0), tuple(_mark(v, axis) for v in said))


def _mark(said: Verdict, axis: Axis) -> Mark:
    dot, low, high = (axis.place(100 * (x or 0.0)) for x in (said.delta.value, said.delta.low, said.delta.high))
    noise = None
    if said.yardstick is not None:
        noise = axis.place(-100 * said.yardstick), axis.place(100 * said.yardstick)
    return Mark(said, dot, low, high, noise)
