"""Invariance: a model that depends on its batch fails, one that does not passes; ids may be permuted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fakes import write_model, write_tree

from bench.datasets.registry import load_dataset
from bench.metrics.bootstrap import Estimate
from bench.models.invariance import NAMES, ROUNDING, InvarianceReport, check_invariance, difference, judged
from bench.models.resolve import resolve_model
from bench.types import Panoptic, Prediction, SegmentInfo


def report(folder: Path, model: str) -> InvarianceReport:
    write_tree(folder / "data", images=4)
    spec = resolve_model(str(write_model(folder, model)), "cityscapes")
    return check_invariance(spec, load_dataset("cityscapes", folder / "data"), "cpu")


def test_a_model_that_sees_one_image_at_a_time_passes(tmp_path: Path) -> None:
    found = report(tmp_path, "Least")
    assert not found.failed
    rows = {row.name: row for row in found.rows}
    assert tuple(rows) == NAMES
    for name in ("batch of 1 against 4", "padding", "order", "precision"):
        assert (rows[name].verdict, rows[name].pixels, rows[name].PQ.value) == ("ok", 0, 0), name
    # The model cuts things at the middle of the image.
    assert rows["mirrored image"].verdict == "shown"
    assert rows["device"].verdict == "skipped"


def test_a_model_that_depends_on_its_batch_fails(tmp_path: Path) -> None:
    found = report(tmp_path, "Bands")
    assert found.failed
    rows = {row.name: row for row in found.rows}
    assert rows["batch of 1 against 4"].verdict == "failed"
    assert (rows["batch of 1 against 4"].pixels or 0) > ROUNDING.pixels
    assert rows["order"].verdict == "ok"  # the sum over a batch has no order


def halves(*columns: int, classes: tuple[int, ...] = (26, 26)) -> Prediction:
    return Prediction(Panoptic(np.array([columns] * 2, dtype=np.int32), tuple(SegmentInfo(c) for c in classes)))


def test_segments_that_became_one_differ_and_permuted_ids_do_not() -> None:
    assert difference(halves(1, 1, 2, 2), halves(2, 2, 1, 1)) == 0
    one = halves(1, 1, 1, 1, classes=(26,))
    assert difference(halves(1, 1, 2, 2), one) == difference(one, halves(1, 1, 2, 2)) == 0.5
    assert difference(halves(1, 1, 2, 2), halves(1, 1, 2, 2, classes=(26, 24))) == 0.5


@pytest.mark.parametrize(
    ("pixels", "ends", "verdict"),
    [
        (0.0005, (-0.01, 0.01), "ok"),
        (0.002, (0.0, 0.0), "failed"),
        (0.0, (0.002, 0.01), "failed"),
        (0.0, (-0.01, -0.002), "failed"),
        (0.0, (-0.01, -0.0005), "ok"),
    ],
)
def test_pixels_and_the_interval_of_pq_are_held_to_tolerances(
    pixels: float, ends: tuple[float, float], verdict: str
) -> None:
    assert judged("order", ROUNDING, pixels, Estimate(sum(ends) / 2, *ends)).verdict == verdict
    assert judged("mirrored image", None, pixels, Estimate(0, *ends)).verdict == "shown"
