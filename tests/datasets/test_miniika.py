"""miniika: the same everywhere, in the colours of ika, and another domain than minicity to the eye."""

import numpy as np
import pytest
from embedded import assert_manifest_covers, assert_manifest_holds, digests_without_cpu_features, manifest
from PIL import Image

from bench.datasets import semantic_rgb
from bench.datasets.label_spaces import load_space
from bench.datasets.synthetic.minicity.scene import render as render_city
from bench.datasets.synthetic.miniika.labels import CLASS_OF, COLORS, NONE, color_labels
from bench.datasets.synthetic.miniika.scene import SIZE, SPLITS, VERSION, Frame, render
from bench.datasets.synthetic.miniika.write import MINIIKA

SAMPLE = 12  # images of val that the statistics are taken over
HASHES = manifest("miniika")


@pytest.fixture(scope="module")
def frames() -> list[Frame]:
    return [render("val", index) for index in range(SAMPLE)]


def test_manifest_covers_the_present_version() -> None:
    assert_manifest_covers(HASHES, VERSION, SPLITS)


def test_pixels_equal_the_manifest(frames: list[Frame]) -> None:
    demo = [render("demo", index) for index in range(3)]
    assert_manifest_holds(HASHES, val=frames[:3], demo=demo)


def test_pixels_do_not_depend_on_the_cpu() -> None:
    assert digests_without_cpu_features("miniika", 2) == HASHES["splits"]["val"]["first"][:2]


def test_the_classes_are_those_of_the_label_space() -> None:
    space = load_space("ika-12")
    listed = {c.id: c.color for c in space.categories} | {label.id: label.color for label in space.void}
    assert {number: tuple(color) for number, color in enumerate(COLORS.tolist())} == listed
    names = {c.id: c.name for c in load_space("cityscapes-19").categories}
    reduced = {c.id: c.name for c in space.categories}
    by_name = {names[label]: reduced[ika] for label, ika in CLASS_OF.items() if label in names}
    assert by_name["rider"] == by_name["bicycle"] == "two wheeler"
    assert by_name["fence"] == "building" and by_name["traffic sign"] == "pole" and by_name["terrain"] == "vegetation"
    assert set(names.values()) - set(by_name) == {"train"}


def test_instances_and_groups_get_the_colour_of_their_class() -> None:
    ids = np.array([[7, 24, 24003], [26000, 31002, 3]], dtype=np.uint16)
    person, car = COLORS[6].tolist(), COLORS[8].tolist()
    assert color_labels(ids).tolist() == [[COLORS[0].tolist(), person, person], [car, [0, 0, 0], [0, 0, 0]]]


def test_every_pixel_has_a_colour_of_the_space_and_every_class_occurs(frames: list[Frame]) -> None:
    known = {tuple(color) for color in COLORS.tolist()}
    seen: set[tuple[int, ...]] = set()
    none = []
    for frame in frames:
        assert frame.rgb.shape == frame.labels.shape == (*SIZE, 3)
        assert frame.rgb.dtype == frame.labels.dtype == np.uint8
        seen |= {tuple(color) for color in np.unique(frame.labels.reshape(-1, 3), axis=0).tolist()}
        none.append(float((frame.labels == COLORS[NONE]).all(axis=-1).mean()))
    assert seen == known
    assert 0 < np.mean(none) < 0.1


def test_the_domain_is_visibly_another(frames: list[Frame]) -> None:
    """Warmer, and noisier where the road is plain, than minicity's pictures."""
    city = [render_city("val", index).rgb for index in range(SAMPLE)]
    here = [frame.rgb for frame in frames]
    assert np.median([warmth(rgb) for rgb in here]) > np.median([warmth(rgb) for rgb in city]) + 7
    assert np.median([roughness(rgb) for rgb in here]) > 1.25 * np.median([roughness(rgb) for rgb in city])


def warmth(rgb: np.ndarray) -> float:
    """Red over blue, in steps of 255."""
    return float(rgb[..., 0].mean() - rgb[..., 2].mean())


def roughness(rgb: np.ndarray) -> float:
    """Median difference between rows two apart on the road: noise, since the road is plain."""
    road = rgb[-60:-20, 100:-100].astype(int).sum(axis=-1)
    return float(np.median(np.abs(road[2:] - road[:-2])))


def test_files_lie_as_in_ikas_set_and_hold_the_frame(tmp_path) -> None:
    MINIIKA.write_split(tmp_path, "demo", limit=2, workers=1)
    assert sorted(p.name for p in (tmp_path / "demo" / "label").iterdir()) == [
        "2_frame_000000_gtFine_labelColor.png", "2_frame_000001_gtFine_labelColor.png",
    ]  # fmt: skip
    frame = render("demo", 1)
    assert np.array_equal(np.array(Image.open(tmp_path / "demo" / "input" / "2_frame_000001.png")), frame.rgb)
    sample = semantic_rgb.samples("miniika", tmp_path / "demo", load_space("ika-12"), "")[0][1]
    assert sample.read_semantic is not None
    road = (frame.labels == COLORS[0]).all(axis=-1)
    assert np.array_equal(sample.read_semantic() == 0, road)
