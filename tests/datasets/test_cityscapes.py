"""The official tree, hand-made at 6×8 pixels, and the same tree after cityscapesScripts' own conversion."""

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from bench.datasets.cityscapes import panoptic_of, samples
from bench.datasets.label_spaces import load_space
from bench.datasets.registry import load_dataset
from bench.errors import DataError
from bench.types import Panoptic

SPACE = load_space("cityscapes-19")
INSTANCES = np.array(
    [
        [23, 23, 23, 23, 23, 23, 23, 23],
        [11, 11, 26000, 26000, 11, 24, 24, 11],
        [7, 26001, 26001, 26000, 7, 24, 24, 29000],
        [7, 26001, 26001, 7, 24000, 7, 7, 29000],
        [7, 7, 7, 7, 24000, 33, 33, 9],
        [1, 1, 1, 1, 1, 1, 3, 3],
    ],
    dtype=np.uint16,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for city, number in (("aachen", 0), ("bochum", 1)):
        stem = f"{city}_{number:06d}_000019"
        for kind in ("leftImg8bit", "gtFine"):
            (tmp_path / kind / "val" / city).mkdir(parents=True)
        PilImage.fromarray(np.full((6, 8, 3), number, np.uint8)).save(
            tmp_path / "leftImg8bit" / "val" / city / f"{stem}_leftImg8bit.png"
        )
        PilImage.fromarray(INSTANCES).save(tmp_path / "gtFine" / "val" / city / f"{stem}_gtFine_instanceIds.png")
    return tmp_path


def described(panoptic: Panoptic) -> dict[int, tuple[int, bool, int]]:
    """Source id → category, crowd, area."""
    pairs = zip(panoptic.segments_info, panoptic.areas.tolist(), strict=True)
    return {int(s.source_id or 0): (s.category_id, s.iscrowd, area) for s, area in pairs}


EXPECTED = {
    7: (7, False, 10),
    11: (11, False, 4),
    23: (23, False, 8),
    24: (24, True, 4),  # a group of people: crowd
    33: (33, True, 2),
    24000: (24, False, 2),  # n starts at 0: the first instance is an instance
    26000: (26, False, 3),
    26001: (26, False, 4),
}


def test_instance_ids_are_read_as_they_are(tree: Path) -> None:
    (first, second), _ = samples(tree, "val", SPACE, "")
    assert (first.image_id, first.group) == ("aachen_000000_000019", "aachen")
    target = first.read_target()
    assert described(target) == EXPECTED
    assert np.array_equal(target.id_map == 0, np.isin(INSTANCES, [1, 3, 9, 29000]))
    assert second.read_image().rgb.max() == 1


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("train_ids", [False, True])
def test_the_official_conversion_gives_the_same_panoptic(
    tree: Path, train_ids: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    convert = pytest.importorskip("cityscapesscripts.preparation.createPanopticImgs")
    raw = samples(tree, "val", SPACE, "")[0][0].read_target()
    monkeypatch.setattr(sys, "stdout", sys.stderr)
    convert.convert2panoptic(str(tree / "gtFine"), None, train_ids, ["val"])
    for file in tree.glob("gtFine/val/*/*_instanceIds.png"):
        file.unlink()
    converted = samples(tree, "val", SPACE, "")[0][0].read_target()
    assert described(converted) == described(raw)
    assert np.array_equal(converted.id_map > 0, raw.id_map > 0)


def _drop_truth(tree: Path) -> None:
    next(tree.glob("gtFine/val/bochum/*")).unlink()


def _drop_all_truth(tree: Path) -> None:
    for file in tree.glob("gtFine/val/*/*"):
        file.unlink()


def _drop_images(tree: Path) -> None:
    for file in tree.glob("leftImg8bit/val/*/*"):
        file.unlink()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (_drop_truth, "1 images have no ground truth, first 'bochum_000001_000019'"),
        (_drop_all_truth, "no *_gtFine_instanceIds.png here"),
        (_drop_images, "no images"),
    ],
)
def test_what_is_missing_is_said(tree: Path, fault: Callable[[Path], None], said: str) -> None:
    fault(tree)
    with pytest.raises(DataError) as error:
        samples(tree, "val", SPACE, "the remedy")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("value", "said"), [(60, "value 60 (1 pixels)"), (34000, "value 34000"), (7001, "its class is stuff")]
)
def test_a_value_of_no_label_is_an_error(value: int, said: str) -> None:
    ids = INSTANCES.copy()
    ids[0, 0] = value
    with pytest.raises(DataError) as error:
        panoptic_of(ids, SPACE)
    assert said in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n\x1a\n", b"not a picture"])
def test_a_broken_label_names_its_file(tree: Path, content: bytes) -> None:
    file = next(tree.glob("gtFine/val/aachen/*"))
    file.write_bytes(content)
    with pytest.raises(DataError, match=file.name):
        samples(tree, "val", SPACE, "")[0][0].read_target()


def test_the_root_comes_from_the_environment(tree: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("BENCH_DATA", "CITYSCAPES_DATASET", "DETECTRON2_DATASETS"):
        monkeypatch.delenv(variable, raising=False)
    with pytest.raises(DataError) as error:
        load_dataset("cityscapes")
    for word in ("CITYSCAPES_DATASET", "gtFine_trainvaltest.zip", "frankfurt", "--dataset minicity"):
        assert word in str(error.value)
    monkeypatch.setenv("CITYSCAPES_DATASET", str(tree))
    assert len(load_dataset("cityscapes").samples) == 2
    assert len(load_dataset("cityscapes:val").limited(1).samples) == 1
    assert load_dataset("cityscapes").only(["bochum_000001_000019"]).samples[0].group == "bochum"
    with pytest.raises(DataError, match="no image 'ulm'"):
        load_dataset("cityscapes").only(["ulm"])
