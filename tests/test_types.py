import numpy as np
import pytest

from bench.errors import DataError
from bench.types import Categories, Category, Panoptic, SegmentInfo

CAR = SegmentInfo(1)


KINDS = pytest.mark.parametrize("kind", [np.int64, np.int32])  # the latter by the kernel, where there is one


def ids(*rows: list[int], kind: type = np.int64) -> np.ndarray:
    return np.array(rows, dtype=kind)


@KINDS
def test_from_ids_makes_ids_dense_in_the_order_of_the_source(kind: type) -> None:
    panoptic = Panoptic.from_ids(ids([900000, 7], [0, 7], kind=kind), {7: CAR, 900000: SegmentInfo(2)})
    assert panoptic.id_map.tolist() == [[2, 1], [0, 1]]
    assert [s.source_id for s in panoptic.segments_info] == [7, 900000]
    assert panoptic.areas.tolist() == [2, 1]


@KINDS
def test_id_zero_is_a_segment_where_it_is_listed(kind: type) -> None:
    panoptic = Panoptic.from_ids(ids([0, 1], kind=kind), {0: CAR, 1: SegmentInfo(2)})
    assert panoptic.id_map.tolist() == [[1, 2]]


@KINDS
def test_void_may_be_any_id(kind: type) -> None:
    assert Panoptic.from_ids(ids([-1, 0], kind=kind), {0: CAR}, void=-1).id_map.tolist() == [[0, 1]]
    assert Panoptic.from_ids(ids([133, 5], kind=kind), {5: CAR}, void=133).id_map.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("pixels", "listed", "said"),
    [
        (ids([1, 2]), {1: CAR}, "ids [2] cover 1 pixels but are not in segments_info"),
        (ids([1, 2], kind=np.int32), {1: CAR}, "ids [2] cover 1 pixels but are not in segments_info"),
        (ids([1, 1], kind=np.int32), {1: CAR, 3: CAR}, "segments_info lists ids [3] that no pixel has"),
        (ids([1, 1]), {1: CAR, 3: CAR}, "segments_info lists ids [3] that no pixel has"),
        (ids([1, 1 << 40]), {1: CAR}, "24 bits"),
        (ids([1, 1 << 30], kind=np.int32), {1: CAR, 1 << 30: CAR}, "24 bits"),
        (np.zeros((2, 2)), {}, "integer map"),
        (np.zeros((2, 2, 3), dtype=np.int64), {}, "integer map"),
    ],
)
def test_what_does_not_fit_is_said(pixels: np.ndarray, listed: dict[int, SegmentInfo], said: str) -> None:
    with pytest.raises(DataError) as error:
        Panoptic.from_ids(pixels, listed)
    assert said in str(error.value)


def test_the_constructor_refuses_what_is_not_dense() -> None:
    with pytest.raises(DataError, match="segments without a pixel"):
        Panoptic(np.zeros((2, 2), dtype=np.int32), (CAR,))
    with pytest.raises(DataError, match=r"holds 0\.\.2, but there are 1 segments"):
        Panoptic(np.array([[0, 2]], dtype=np.int32), (CAR,))
    with pytest.raises(DataError, match="int32"):
        Panoptic(np.zeros((2, 2), dtype=np.int64), ())


def test_category_ids_are_unique() -> None:
    road = Category(7, "road", False, (1, 2, 3))
    with pytest.raises(DataError, match="listed twice"):
        Categories((road, road))
    assert Categories((road,)).index_of == {7: 0}


def test_the_runs_of_a_map() -> None:
    ids = np.array([[1, 1, 0], [0, 2, 2]], dtype=np.int32)
    map_ = Panoptic(ids, (SegmentInfo(1), SegmentInfo(1)))
    assert map_.runs.tolist() == [[0, 1], [2, 0], [4, 2]]
    assert Panoptic(np.zeros((0, 3), dtype=np.int32), ()).runs.shape == (0, 2)
