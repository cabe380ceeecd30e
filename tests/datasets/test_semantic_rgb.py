"""ika's layout, hand-made: colours to classes, and what there is no PQ of."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from bench.datasets.label_spaces import load_space
from bench.datasets.registry import load_dataset
from bench.datasets.semantic_rgb import semantic_of
from bench.errors import DataError, UsageError

ROAD, POLE, NONE, WHEELER = (128, 64, 128), (153, 153, 153), (0, 0, 0), (255, 0, 0)
COLORS = np.array([[ROAD, ROAD, POLE], [WHEELER, NONE, POLE]], dtype=np.uint8)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for folder in ("input", "label"):
        (tmp_path / folder).mkdir()
    for stem in ("2_frame_000159", "2_frame_001798"):
        PilImage.fromarray(np.zeros((2, 3, 3), np.uint8)).save(tmp_path / "input" / f"{stem}.png")
        PilImage.fromarray(COLORS).save(tmp_path / "label" / f"{stem}_gtFine_labelColor.png")
    return tmp_path


def test_colours_are_classes(tree: Path) -> None:
    data = load_dataset("ika", tree)
    first = data.samples[0]
    assert (data.carries, first.image_id, len(data.samples)) == (("semantic",), "2_frame_000159", 2)
    assert first.read_semantic is not None
    assert first.read_semantic().tolist() == [[0, 0, 3], [7, 11, 3]]  # 11, none, is no category: void
    assert 11 not in data.categories.index_of
    assert first.read_image().size == (2, 3)


def test_none_can_count(tree: Path, tmp_path: Path) -> None:
    from bench.io.config import find_config

    mine = tmp_path / "mine.yaml"
    mine.write_text(find_config("datasets", "ika").read_text(encoding="utf-8") + "count: [none]\n", encoding="utf-8")
    data = load_dataset(str(mine), tree)
    assert data.categories.ids == tuple(range(12))
    assert data.void == ()


def test_asking_for_instances_says_why_there_are_none(tree: Path) -> None:
    with pytest.raises(UsageError, match="ika has semantic labels only: there is mIoU, but no PQ"):
        load_dataset("ika", tree).samples[0].read_target()


def test_an_unknown_colour_names_file_colour_and_pixels(tree: Path) -> None:
    file = tree / "label" / "2_frame_000159_gtFine_labelColor.png"
    wrong = COLORS.copy()
    wrong[0, 0], wrong[:, 2] = (1, 2, 3), (129, 64, 128)
    PilImage.fromarray(wrong).save(file)
    read = load_dataset("ika", tree).samples[0].read_semantic
    assert read is not None
    with pytest.raises(DataError) as error:
        read()
    for word in (str(file), "(129, 64, 128) of 2 pixels", "3 pixels of 2 unknown"):
        assert word in str(error.value)


def test_every_colour_of_the_space_is_read() -> None:
    space = load_space("ika-12").with_void_as_classes(["none"])
    row = np.array([[c.color for c in space.evaluated]], dtype=np.uint8)
    assert semantic_of(row, space).tolist() == [list(range(12))]


def test_missing_parts_are_said(tree: Path, tmp_path: Path) -> None:
    (tree / "label" / "2_frame_001798_gtFine_labelColor.png").unlink()
    with pytest.raises(DataError, match=r"1 images have no label, first .*001798"):
        load_dataset("ika", tree)
    with pytest.raises(DataError, match="no images"):
        load_dataset("ika", tmp_path / "elsewhere")


def test_the_root_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BENCH_DATA", "IKA_DATASET"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(DataError, match="IKA_DATASET"):
        load_dataset("ika")
