"""The one source of randomness: PCG64 through `.integers` and `.random`, whose streams numpy keeps stable."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Dice:
    """A seeded stream of choices; the same seed gives the same scene on every machine."""

    def __init__(self, *seed: int) -> None:
        self.generator = np.random.Generator(np.random.PCG64(np.random.SeedSequence(list(seed))))

    def real(self, low: float, high: float) -> float:
        """A float in [low, high)."""
        return low + (high - low) * float(self.generator.random())

    def whole(self, low: int, high: int) -> int:
        """An int in low..high, both included."""
        return int(self.generator.integers(low, high + 1))

    def chance(self, probability: float) -> bool:
        return float(self.generator.random()) < probability

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.generator.integers(0, len(options)))]

    def side(self) -> int:
        """-1 (left) or 1 (right)."""
        return 1 if self.chance(0.5) else -1

    def jitter(self, color: tuple[int, int, int], spread: int) -> tuple[int, int, int]:
        """A colour near `color`: each channel moved by at most `spread`."""
        moved = self.generator.integers(-spread, spread + 1, 3)
        return tuple(min(255, max(0, c + int(m))) for c, m in zip(color, moved, strict=True))  # type: ignore[return-value]
