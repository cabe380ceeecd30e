from pathlib import Path

import numpy as np
import pytest

from bench.errors import DataError
from bench.io.hashing import FileDigests
from bench.results.predictions import PredictionWriter, open_predictions, safe_file_stem
from bench.types import Categories, Category, Panoptic, Prediction, SegmentInfo

SPACE = Categories((Category(7, "road", False, (1, 2, 3)), Category(300, "car", True, (4, 5, 6))))


def prediction(semantic: bool = True) -> Prediction:
    panoptic = Panoptic.from_ids(np.array([[1, 1, 0], [1, 9, 9]]), {1: SegmentInfo(7, score=0.9), 9: SegmentInfo(300)})
    return Prediction(panoptic, np.array([[7, 7, 300], [7, 300, 300]], dtype=np.int32) if semantic else None)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    with PredictionWriter(tmp_path) as writer:
        writer.write("b", prediction())
        writer.write("a", prediction(semantic=False))
        writer.finish(["a", "b"], SPACE)
    folder = open_predictions(tmp_path)
    assert list(folder.annotations) == ["a", "b"]
    read, made = folder.read("b", SPACE), prediction()
    assert np.array_equal(read.panoptic.id_map, made.panoptic.id_map)
    assert [s.category_id for s in read.panoptic.segments_info] == [7, 300]
    assert read.panoptic.segments_info[0].score == 0.9
    assert read.semantic is not None and made.semantic is not None
    assert np.array_equal(read.semantic, made.semantic)
    assert folder.read("a", SPACE).semantic is None


def test_a_torn_annotation_is_written_again(tmp_path: Path) -> None:
    with PredictionWriter(tmp_path) as writer:
        writer.write("a", prediction())
        writer.write("b", prediction())
    file = tmp_path / "annotations.jsonl"
    file.write_bytes(file.read_bytes()[:-4])
    with PredictionWriter(tmp_path) as writer:
        writer.write("b", prediction())
        writer.finish(["a", "b"], SPACE)
    assert list(open_predictions(tmp_path).annotations) == ["a", "b"]


def test_the_digest_sees_the_pixels(tmp_path: Path) -> None:
    with PredictionWriter(tmp_path) as writer:
        writer.write("a", prediction())
        writer.finish(["a"], SPACE)
    before = open_predictions(tmp_path).digest(FileDigests())
    assert open_predictions(tmp_path).digest(FileDigests()) == before
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes() + b"!")
    assert open_predictions(tmp_path).digest(FileDigests()) != before


def test_a_missing_prediction_is_named(tmp_path: Path) -> None:
    with PredictionWriter(tmp_path) as writer:
        writer.finish([], SPACE)
    with pytest.raises(DataError, match="no prediction for image 'a'"):
        open_predictions(tmp_path).read("a", SPACE)
    with pytest.raises(DataError, match="no predictions here"):
        open_predictions(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("image_id", "stem"), [("a_b-1.x", "a_b-1.x"), ("../../etc/passwd", "_.._etc_passwd"), ("", "_"), ("..", "_")]
)
def test_an_image_id_cannot_leave_its_folder(image_id: str, stem: str) -> None:
    assert safe_file_stem(image_id) == stem
