import numpy as np

from bench.datasets.label_spaces import load_space
from bench.training.data.scenes import IGNORED, boxes_of, sample_targets, targets_of
from bench.types import Panoptic, SegmentInfo

CATEGORIES = load_space("cityscapes-19").evaluated
ROAD, PERSON, CAR = 7, 24, 26


def panoptic(rows, *infos):
    return Panoptic(np.array(rows, dtype=np.int32), infos)


def test_void_and_crowd_pixels_belong_to_no_target():
    truth = panoptic(
        [[0, 1, 1, 2], [0, 3, 3, 2]], SegmentInfo(ROAD), SegmentInfo(PERSON, iscrowd=True), SegmentInfo(CAR)
    )
    index, classes = targets_of(truth, CATEGORIES)
    assert index.tolist() == [[IGNORED, 0, 0, IGNORED], [IGNORED, 1, 1, IGNORED]]
    assert [CATEGORIES.items[c].id for c in classes] == [ROAD, CAR]


def test_two_instances_of_a_class_are_two_targets():
    index, classes = targets_of(panoptic([[1, 2]], SegmentInfo(CAR), SegmentInfo(CAR)), CATEGORIES)
    assert index.tolist() == [[0, 1]]
    assert classes.tolist() == [CATEGORIES.index_of[CAR]] * 2


def test_an_image_of_void_has_no_target():
    index, classes = targets_of(panoptic([[0, 0]]), CATEGORIES)
    assert (index == IGNORED).all() and classes.shape == (0,)


def test_of_too_many_segments_the_smallest_are_ignored():
    ids = np.arange(1, 257, dtype=np.int32)[None].repeat(2, 0)
    ids[1, :2] = 3  # the first two have one pixel, the third four, all others two
    index, classes = targets_of(Panoptic(ids, tuple(SegmentInfo(CAR) for _ in range(256))), CATEGORIES)
    assert len(classes) == 254
    assert (index == IGNORED).sum() == 2 and (index[0, :2] == IGNORED).all()


def test_boxes_are_centres_and_sizes_as_fractions_of_the_input():
    index = np.full((4, 8), IGNORED, dtype=np.uint8)
    index[1:3, 2:6], index[3, 7] = 0, 4
    boxes = boxes_of(index)
    assert boxes[0].tolist() == [0.5, 0.5, 0.5, 0.5]
    np.testing.assert_allclose(boxes[4], [7.5 / 8, 3.5 / 4, 1 / 8, 1 / 4])
    assert (boxes[[1, 2, 3]] == 0).all()


def test_cells_of_one_pixel_keep_the_map_and_renumber_what_the_crop_shows():
    index = np.array([[2, 2], [IGNORED, 0]], dtype=np.uint8)  # target 1 lies outside the crop
    cells = sample_targets(index, np.array([11, 12, 13]), (2, 2), np.random.default_rng(0))
    assert cells.index.tolist() == [1, 1, -1, 0]
    assert cells.classes.tolist() == [11, 13]


def test_a_cell_is_a_target_as_often_as_the_target_covers_it():
    index = np.array([[0, 1], [1, 1]], dtype=np.uint8)
    rng = np.random.default_rng(0)
    seen = [sample_targets(index, np.array([5, 6]), (1, 1), rng).classes[0] for _ in range(400)]
    assert 60 < seen.count(5) < 140  # a quarter of 400, 4.6 standard deviations to each side


def test_small_targets_can_be_ignored():
    index = np.array([[0, 0, 0, 1]], dtype=np.uint8)
    cells = sample_targets(index, np.array([5, 6]), (1, 4), np.random.default_rng(0), least=2)
    assert cells.index.tolist() == [0, 0, 0, -1]
    assert cells.classes.tolist() == [5]
