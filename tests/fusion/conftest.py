from collections.abc import Callable, Sequence

import numpy as np
import pytest

from bench.types import Categories, Category


@pytest.fixture(scope="session")
def space() -> Callable[[str], Categories]:
    """ "ts" → a thing and a stuff class; ids 10, 13, …, so that an index taken for an id shows."""

    def build(kinds: str) -> Categories:
        items = [Category(10 + 3 * i, f"{kind}{i}", kind == "t", (i, i, i)) for i, kind in enumerate(kinds)]
        return Categories(tuple(items))

    return build


@pytest.fixture(scope="session")
def scores_to_logits() -> Callable[[Sequence[tuple[int, float]], int], np.ndarray]:
    """(label, probability) of each query → (Q, C + 1) float32 logits; what is left goes to no-object."""

    def build(queries: Sequence[tuple[int, float]], classes: int) -> np.ndarray:
        probability = np.full((len(queries), classes + 1), 1e-12)
        for q, (label, score) in enumerate(queries):
            probability[q, -1] = 1 - score
            probability[q, label] = score
        return np.log(probability).astype(np.float32)

    return build
