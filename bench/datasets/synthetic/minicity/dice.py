"""The only source of random numbers: PCG64 with `.integers` and `.random`, whose streams NumPy keeps stable."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


# NumPy may change the streams of Generator's other distributions between versions (NEP 19).
class Dice:
    """Seeded random choices; the same seed gives the same scene on every machine."""

    def __init__(self, *seed: int) -> None:
        self.generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(seed))))

    def real(self, low: float, high: float) -> float:
        """Return a float in [low, high)."""
        return low + (high - low) * float(self.generator.random())

    def whole(self, low: int, high: int) -> int:
        """Return an int in low..high, both included."""
        return int(self.generator.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return float(self.generator.random()) < probability

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.generator.integers(0, len(options)))]

    def side(self) -> int:
        """Return -1 (left) or 1 (right)."""
        return 1 if self.chance(0.5) else -1

    def jitter(self, color: tuple[int, int, int], spread: int) -> tuple[int, int, int]:
        """Return a colour with each channel changed by at most `spread`."""
        moved = self.generator.integers(-spread, spread + 1, 3)
        return tuple(min(255, max(0, c + int(m))) for c, m in zip(color, moved, strict=True))  # type: ignore[return-value]
