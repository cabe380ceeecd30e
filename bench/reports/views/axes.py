"""Plot axes with round ticks; positions are percent of the plot's width or height."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Axis:
    """A range of values, linear or logarithmic, with its tick values."""

    low: float
    high: float
    ticks: tuple[float, ...]
    log: bool = False

    def place(self, value: float) -> float:
        """Return the position of a value in percent from `low` to `high`."""
        low, high, at = (math.log10(x) if self.log else x for x in (self.low, self.high, value))
        return round(100 * (at - low) / (high - low), 3) if high > low else 50.0

    def tick_labels(self) -> list[tuple[float, str]]:
        return [(self.place(tick), format_si(tick)) for tick in self.ticks]


def linear(values: Sequence[float], from_zero: bool = True) -> Axis:
    """Return an axis around values, usually with four to eight ticks at multiples of 1, 2 or 5 times a power of ten."""
    low, high = (0.0 if from_zero else min(values)), max(values)
    span = (high - low) or abs(high) or 1.0
    step = 10 ** math.floor(math.log10(span / 4))
    step = next(step * factor for factor in (1, 2, 5, 10) if span / (step * factor) <= 6)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    ticks = tuple(round(k * step, 12) for k in range(first, max(last, first + 1) + 1))
    return Axis(ticks[0], ticks[-1], ticks)


def logarithmic(values: Sequence[float]) -> Axis:
    """Return an axis around positive values, with up to seven ticks at 1, 2 and 5 times powers of ten."""
    low, high = min(values) / 1.3, max(values) * 1.3
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    below = max((tick for tick in ticks if tick <= low), default=low)
    above = min((tick for tick in ticks if tick >= high), default=high)
    shown = [tick for tick in ticks if below <= tick <= above]
    return Axis(below, above, tuple(shown if len(shown) <= 7 else shown[:: math.ceil(len(shown) / 6)]), log=True)


def format_si(value: float) -> str:
    """Format a number with an SI suffix: 12,500,000 → 12.5M."""
    for unit, factor in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if abs(value) >= factor:
            return f"{value / factor:.4g}{unit}"
    return f"{value:.4g}"
