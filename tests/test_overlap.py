import json

import numpy as np
import pytest
from hypothesis import given, settings
from scenes import Scene, panoptic, scenes, strip

from bench._native import optional
from bench.errors import DataError
from bench.overlap import Overlap, PredictedSegment, TruthSegment
from bench.types import Panoptic, SegmentInfo

THING = SegmentInfo(1)


def test_counts_every_pair_with_void_as_zero():
    truth = panoptic(strip((9, 3), (0, 3)), {9: SegmentInfo(1, declared_area=7)})
    prediction = panoptic(strip((0, 1), (4, 4), (0, 1)), {4: SegmentInfo(2, score=0.12345678)})
    assert Overlap.of(truth, prediction) == Overlap(
        truth=(TruthSegment(9, 1, 3, 7, False),),
        predicted=(PredictedSegment(4, 2, 4, 0.123457),),
        table=np.array([(0, 0, 1), (0, 1, 2), (1, 0, 1), (1, 1, 2)]),
    )


@settings(max_examples=100, deadline=None)
@given(scene=scenes())
def test_pairs_add_up_to_both_maps(scene: Scene):
    truth, prediction = scene.truth.panoptic(), scene.prediction.panoptic()
    overlap = Overlap.of(truth, prediction)
    table = np.zeros((len(overlap.truth) + 1, len(overlap.predicted) + 1), np.int64)
    for i, j, pixels in overlap.pairs:
        table[i, j] += pixels
    assert table.sum() == truth.id_map.size
    assert table[1:].sum(axis=1).tolist() == [s.area for s in overlap.truth] == truth.areas.tolist()
    assert table[:, 1:].sum(axis=0).tolist() == [s.area for s in overlap.predicted]
    for i, j, pixels in overlap.pairs:
        assert pixels == ((truth.id_map == i) & (prediction.id_map == j)).sum()


@settings(max_examples=100, deadline=None)
@given(scene=scenes())
def test_json_gives_back_an_equal_overlap(scene: Scene):
    overlap = Overlap.of(scene.truth.panoptic(), scene.prediction.panoptic())
    again = Overlap.from_json(json.loads(json.dumps(overlap.to_json())))
    assert again == overlap
    assert [type(s.iscrowd) for s in again.truth] == [bool] * len(overlap.truth)


def test_an_image_of_twenty_segments_takes_less_than_two_kilobytes():
    cells = np.kron(np.arange(1, 21).reshape(4, 5), np.ones((120, 128), np.int64))
    infos = {i: SegmentInfo(i, score=0.987654) for i in range(1, 21)}
    overlap = Overlap.of(panoptic(cells, infos), panoptic(np.roll(cells, 9, axis=1), infos))
    assert len(json.dumps(overlap.to_json(), separators=(",", ":"))) < 2000


def test_more_pairs_than_pixels_are_counted_the_same():
    """Every pixel its own segment: the table of all pairs would be larger than the image."""
    rng = np.random.default_rng(0)
    ids = np.arange(1, 37).reshape(6, 6)
    infos = dict.fromkeys(range(1, 37), THING)
    truth, prediction = panoptic(ids, infos), panoptic(rng.permutation(ids.ravel()).reshape(6, 6), infos)
    overlap = Overlap.of(truth, prediction)
    expected = sorted(zip(truth.id_map.ravel().tolist(), prediction.id_map.ravel().tolist(), strict=True))
    assert [(i, j) for i, j, _ in overlap.pairs] == expected
    assert {pixels for _, _, pixels in overlap.pairs} == {1}


def test_the_kernel_takes_no_map_that_is_not_plain():
    kernel = optional("bench._native._maps", "pairs")
    if kernel is None:
        pytest.skip("the kernel is not compiled here")
    sound = np.zeros(4, np.int32)
    for wrong in (np.full(4, 3, np.int32), np.full(4, -1, np.int32), np.zeros(3, np.int32)):
        assert kernel(sound, wrong, 2, 2) is None and kernel(wrong, sound, 2, 2) is None
    assert kernel(sound, sound, -1, 2) is None and kernel(sound, sound, 1 << 30, 1 << 30) is None
    assert kernel(sound, sound, 2, 2) == np.array([0, 0, 4]).tobytes()


def test_two_empty_maps():
    nothing = Panoptic(np.zeros((2, 3), np.int32), ())
    assert Overlap.of(nothing, nothing) == Overlap((), (), np.array([(0, 0, 6)]))


def test_sizes_that_differ_are_named():
    one, other = (Panoptic(np.zeros(shape, np.int32), ()) for shape in ((2, 3), (3, 2)))
    with pytest.raises(DataError, match=r"truth is 2 x 3 px but the prediction is 3 x 2 px"):
        Overlap.of(one, other)


@pytest.mark.parametrize("data", [{}, {"truth": [[1]], "predicted": [], "pairs": []},
                                  {"truth": [], "predicted": [], "pairs": [3]}])  # fmt: skip
def test_json_of_something_else_is_refused(data: dict):
    with pytest.raises(DataError, match="not a stored overlap"):
        Overlap.from_json(data)
