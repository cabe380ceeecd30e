import numpy as np
import pytest
from scenes import panoptic

from bench.metrics.error_map import Error, error_map
from bench.metrics.matching import match
from bench.overlap import Overlap
from bench.reports.pictures.colors import ERROR, ERROR_COLORS, error_picture
from bench.types import SegmentInfo

CAR, TRUCK, ROAD = 1, 2, 70
TRUTH = {
    1: SegmentInfo(ROAD),
    2: SegmentInfo(CAR),
    3: SegmentInfo(CAR),
    4: SegmentInfo(CAR),
    5: SegmentInfo(CAR, iscrowd=True),
}


def codes(truth: list[list[int]], predicted: list[list[int]], infos: dict[int, SegmentInfo]) -> list[list[int]]:
    present = {number: info for number, info in TRUTH.items() if number in np.unique(truth)}
    left, right = panoptic(truth, present), panoptic(predicted, infos)
    return error_map(left, right, match(Overlap.of(left, right))).tolist()


def test_a_case_with_every_kind() -> None:
    """Road below; car 2 is found, 3 is called a truck, 4 is not seen; a car too many; void; a crowd."""
    truth = [
        [1, 1, 1, 1, 1, 1],
        [2, 2, 1, 3, 3, 1],
        [2, 2, 1, 3, 3, 1],
        [1, 1, 1, 1, 1, 1],
        [4, 4, 5, 5, 0, 0],
        [1, 1, 1, 1, 1, 1],
    ]
    predicted = [
        [1, 1, 1, 1, 1, 1],
        [2, 2, 1, 3, 3, 4],
        [2, 1, 1, 3, 3, 4],
        [1, 1, 1, 1, 1, 1],
        [1, 0, 5, 5, 1, 0],
        [1, 1, 1, 1, 1, 1],
    ]
    infos = {1: SegmentInfo(ROAD), 2: SegmentInfo(CAR), 3: SegmentInfo(TRUCK), 4: SegmentInfo(CAR), 5: SegmentInfo(CAR)}
    ok, cls, miss, extra, off = Error.CORRECT, Error.WRONG_CLASS, Error.MISSED, Error.SPURIOUS, Error.IGNORED
    assert codes(truth, predicted, infos) == [
        [ok, ok, ok, ok, ok, ok],
        [ok, ok, ok, cls, cls, extra],
        [ok, cls, ok, cls, cls, extra],
        [ok, ok, ok, ok, ok, ok],
        [miss, miss, off, off, off, off],
        [ok, ok, ok, ok, ok, ok],
    ]


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        ([2, 2, 2, 2], [1, 1, 2, 2], [Error.WRONG_SEGMENT] * 4),  # split in the middle: neither half is a match
        ([2, 2, 2, 3], [1, 1, 1, 1], [Error.CORRECT] * 3 + [Error.MISSED]),  # merged into one that is found
        ([2, 2, 2, 2], [1, 1, 1, 2], [Error.CORRECT] * 3 + [Error.SPURIOUS]),  # a piece too many
        ([2, 2, 2, 3, 3, 3], [1, 1, 2, 2, 2, 2], [0, 0, Error.WRONG_SEGMENT, 0, 0, 0]),  # the border moved
    ],
)
def test_instances_of_one_class(truth: list[int], predicted: list[int], expected: list[int]) -> None:
    infos = {number: SegmentInfo(CAR) for number in set(predicted)}
    assert codes([truth], [predicted], infos) == [[int(code) for code in expected]]


def test_a_false_positive_on_a_crowd_of_another_class_is_not_ignored() -> None:
    assert codes([[5, 5]], [[1, 1]], {1: SegmentInfo(TRUCK)}) == [[Error.SPURIOUS] * 2]


def test_equal_maps_are_correct_everywhere() -> None:
    rows = [[1, 1, 2], [3, 3, 2]]
    assert codes(rows, rows, {n: TRUTH[n] for n in (1, 2, 3)}) == [[Error.CORRECT] * 3] * 2


def test_the_picture_has_the_colours_of_the_codes() -> None:
    grey = np.full((1, len(Error), 3), 100, dtype=np.uint8)
    picture = error_picture(grey, np.array([list(Error)], dtype=np.uint8))
    for error in Error:
        expected = np.rint(ERROR * np.array(ERROR_COLORS[error]) + (1 - ERROR) * 100)
        assert np.abs(picture[0, error] - expected).max() <= 1
