"""Adapters that break the contract in one clause each, and some that keep it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from bench.datasets.label_spaces import load_space
from bench.models.adapter import PredictOnlyAdapter
from bench.models.contract import check_contract, contract_images, pixel_disagreement
from bench.types import Image, Panoptic, Prediction, SegmentInfo

IMAGES = contract_images(np.random.default_rng(0).integers(0, 256, (24, 36, 3), dtype=np.uint8))
ROAD, CAR = 7, 26


def halves(image: Image, left: int = ROAD, right: int = CAR) -> Prediction:
    """Two segments, and a semantic map."""
    ids = np.ones(image.size, dtype=np.int32)
    ids[:, image.size[1] // 2 :] = 2
    semantic = np.where(ids == 1, left, right).astype(np.int32)
    return Prediction(Panoptic(ids, (SegmentInfo(left, score=0.5), SegmentInfo(right))), semantic)


class Model:
    """Answers `predict` by the function it is given."""

    def __init__(self, predict: Callable[[Sequence[Image]], list[Any]]) -> None:
        self.categories = load_space("cityscapes-19").evaluated
        self.predict = predict


def verdicts(predict: Callable[[Sequence[Image]], list[Any]]) -> dict[str, str]:
    report = check_contract("mine", PredictOnlyAdapter(Model(predict)), IMAGES)
    assert report.failed == ("failed" in [check.verdict for check in report.checks])
    return {check.name: check.verdict for check in report.checks if check.verdict != "ok"}


def test_a_model_that_keeps_it() -> None:
    assert verdicts(lambda images: [halves(image) for image in images]) == {}


def test_a_model_without_a_semantic_map_keeps_it() -> None:
    assert verdicts(lambda images: [Prediction(halves(image).panoptic) for image in images]) == {}


def test_three_stages_are_named_and_a_missing_one_is_missed() -> None:
    class Stages:
        categories = load_space("cityscapes-19").evaluated

        def preprocess(self, image: Image) -> Image:
            return image

        def infer(self, batch: Sequence[Image]) -> Sequence[Image]:
            return batch

        def postprocess(self, output: Image, size: tuple[int, int]) -> Prediction:
            return halves(output)

    class Cut(Stages):
        def postprocess(self, output: Image, size: tuple[int, int]) -> Prediction:
            return Prediction(halves(Image("", output.rgb[1:])).panoptic)

    assert not check_contract("mine", Stages(), IMAGES).failed
    cut = check_contract("mine", Cut(), IMAGES)
    assert [c.name for c in cut.checks if c.verdict == "failed"] == ["panoptic size"]
    del Stages.postprocess
    report = check_contract("mine", Stages(), IMAGES)  # type: ignore[arg-type]
    assert [c.found for c in report.checks if c.verdict == "failed"] == ["there is no postprocess"]


def with_semantic(image: Image, value: int) -> Prediction:
    return Prediction(halves(image).panoptic, np.full(image.size, value, dtype=np.int32))


def sparse(image: Image) -> Prediction:
    """The map is changed after it was checked."""
    made = halves(image)
    made.panoptic.id_map[:] = 2
    return made


@pytest.mark.parametrize(
    ("one", "broken"),
    [
        (lambda image: 3, {"predicts"}),
        (lambda image: halves(Image("", image.rgb[:-1])), {"predicts"}),
        (lambda image: halves(image, left=99), {"category ids", "semantic map"}),
        (lambda image: with_semantic(image, 99), {"semantic map"}),
        (lambda image: Prediction(halves(image).panoptic, np.zeros((2, 2), dtype=np.int32)), {"semantic map"}),
        (sparse, {"dense ids"}),
        (
            lambda image: Prediction(Panoptic(np.ones(image.size, np.int32), (SegmentInfo(ROAD, score=7.0),))),
            {"scores"},
        ),
    ],
)
def test_a_clause_that_is_broken_is_named(one: Callable[[Image], Any], broken: set[str]) -> None:
    said = verdicts(lambda images: [one(image) for image in images])
    assert set(said) == broken
    assert set(said.values()) == {"failed"}


def test_an_image_that_is_written_to() -> None:
    def vandal(images: Sequence[Image]) -> list[Prediction]:
        for image in images:
            image.rgb[0, 0] += 1
        return [halves(image) for image in images]

    copies = tuple(Image(image.image_id, image.rgb.copy()) for image in IMAGES)
    report = check_contract("mine", PredictOnlyAdapter(Model(vandal)), (copies[0], copies[1]))
    assert [c.name for c in report.checks if c.verdict == "failed"] == ["images are left as they are"]


def test_no_segments_test_nothing() -> None:
    empty = verdicts(lambda images: [Prediction(Panoptic(np.zeros(i.size, np.int32), ())) for i in images])
    assert set(empty.values()) == {"not tested"}
    assert "dense ids" in empty


def test_stuff_in_several_segments_is_told_and_allowed() -> None:
    assert verdicts(lambda images: [halves(i, right=ROAD) for i in images]) == {
        "stuff is one segment a class": "differs"
    }


def test_a_model_that_throws_dice() -> None:
    calls = []

    def restless(images: Sequence[Image]) -> list[Prediction]:
        calls.append(len(images))
        return [halves(image, right=24 + len(calls) % 3) for image in images]

    assert verdicts(restless)["the same twice"] == "failed"


def test_outputs_out_of_order() -> None:
    def by_brightness(image: Image) -> Prediction:
        left = image.rgb[:, : image.size[1] // 2].mean() > image.rgb[:, image.size[1] // 2 :].mean()
        return halves(image, *((ROAD, CAR) if left else (CAR, ROAD)))

    def swapped(images: Sequence[Image]) -> list[Prediction]:
        made = [by_brightness(image) for image in images]
        same = len({image.size for image in images}) == 1
        return made[::-1] if same else made

    assert verdicts(swapped) == {"a batch of one size": "failed"}


def test_padding_is_told_and_allowed() -> None:
    def padded(images: Sequence[Image]) -> list[Prediction]:
        wide = max(image.size[1] for image in images)
        made = [halves(image) for image in images]
        for image, prediction in zip(images, made, strict=True):
            if image.size[1] < wide:
                prediction.panoptic.id_map[:, image.size[1] // 2] = 1
        return made

    assert verdicts(padded) == {"a batch of two sizes": "differs"}


def test_fewer_outputs_than_images() -> None:
    assert verdicts(lambda images: [halves(images[0])])["predicts again"] == "failed"


def test_a_difference_is_a_share_of_pixels() -> None:
    image = Image("", np.zeros((4, 8, 3), dtype=np.uint8))
    one, other = halves(image), Prediction(halves(image).panoptic)
    assert pixel_disagreement(one, halves(image)) == 0
    assert pixel_disagreement(one, other) == 1  # the one has a semantic map
    moved = Prediction(halves(image).panoptic)
    moved.panoptic.id_map[0] = 1
    assert pixel_disagreement(other, moved) == 4 / 32
    assert pixel_disagreement(Prediction(halves(image).panoptic), Prediction(halves(image, right=ROAD).panoptic)) == 0.5
