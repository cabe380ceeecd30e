"""The embedded scenes: the same everywhere, coded like Cityscapes, varied enough, and written whole or not at all."""

import json
from itertools import pairwise

import numpy as np
import pytest
from embedded import assert_manifest_covers, assert_manifest_holds, digest, digests_without_cpu_features, manifest
from PIL import Image

from bench.datasets.label_spaces import load_space
from bench.datasets.synthetic.minicity import raster
from bench.datasets.synthetic.minicity.scene import SPLITS, VERSION, Scene, image_name, render
from bench.datasets.synthetic.minicity.world import THINGS, VOID
from bench.datasets.synthetic.minicity.write import ensure, write_split
from bench.errors import DataError, UsageError

EVALUATED = load_space("cityscapes-19").evaluated.ids
HASHES = manifest("minicity")
SAMPLE = 40  # images of val that the statistics are taken over


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [render("val", index) for index in range(SAMPLE)]


def segments(scene: Scene) -> list[tuple[int, int]]:
    """(instance id, area) of the segments that are scored."""
    found = zip(*np.unique(scene.instance_ids, return_counts=True), strict=True)
    return [(int(i), int(a)) for i, a in found if label_of(int(i)) in EVALUATED]


def label_of(ident: int) -> int:
    return ident // 1000 if ident >= 1000 else ident


def test_manifest_covers_the_present_version() -> None:
    assert_manifest_covers(HASHES, VERSION, SPLITS)


@pytest.mark.parametrize("split", SPLITS)
def test_pixels_equal_the_manifest(split: str) -> None:
    assert_manifest_holds(HASHES, **{split: [render(split, index) for index in range(3)]})


def test_the_frozen_demo_split_equals_the_manifest() -> None:
    assert digest(render("demo", index) for index in range(SPLITS["demo"])) == HASHES["splits"]["demo"]["all"]


def test_pixels_do_not_depend_on_the_cpu() -> None:
    assert digests_without_cpu_features("minicity", 3) == HASHES["splits"]["val"]["first"]


def test_ids_are_coded_as_in_cityscapes(scenes: list[Scene]) -> None:
    for scene in scenes:
        assert scene.rgb.shape == (256, 512, 3) and scene.rgb.dtype == np.uint8
        assert scene.instance_ids.shape == (256, 512) and scene.instance_ids.dtype == np.uint16
        ids = np.unique(scene.instance_ids).tolist()
        assert {i for i in ids if i < 1000} <= {*EVALUATED, *VOID}
        for label in {i // 1000 for i in ids if i >= 1000}:
            assert label in THINGS
            numbers = [i % 1000 for i in ids if i // 1000 == label]
            assert numbers == list(range(len(numbers)))  # the first instance is n = 0


def test_scenes_are_as_full_as_promised(scenes: list[Scene]) -> None:
    every = [segments(scene) for scene in scenes]
    areas = [area for one in every for _, area in one]
    assert np.median([len(one) for one in every]) >= 20
    assert sum(area < 32 * 32 for area in areas) >= 0.4 * len(areas)
    assert min(areas) >= 6
    for label in EVALUATED:  # every class in at least 1 of 20 images
        assert sum(any(label_of(i) == label for i, _ in one) for one in every) >= SAMPLE // 20, label


def test_crowds_and_void_are_there(scenes: list[Scene]) -> None:
    bare = [i for scene in scenes for i in np.unique(scene.instance_ids).tolist() if i < 1000]
    assert {24, 33} <= set(bare)  # groups of people, rows of bicycles
    assert {1, 2, 3, 4, 5} <= set(bare)
    void = np.mean([np.isin(scene.instance_ids, VOID).mean() for scene in scenes])
    assert 0.01 < void < 0.12


def test_weather_and_cities_vary(scenes: list[Scene]) -> None:
    light = [float(scene.rgb.mean()) for scene in scenes]
    assert max(light) > 2 * min(light)
    assert {scene.city for scene in scenes} == {image_name("val", index)[0] for index in range(2)}


def test_polygon_mask_is_exact() -> None:
    mask = raster.polygon([(16, 16), (64, 16), (64, 48), (16, 48)], 10, 10)
    assert mask is not None
    inside, y0, x0 = mask
    frame = np.zeros((10, 10), bool)
    frame[y0 : y0 + inside.shape[0], x0 : x0 + inside.shape[1]] = inside
    expected = np.zeros((10, 10), bool)
    expected[1:3, 1:4] = True
    assert np.array_equal(frame, expected)


def test_neighbouring_polygons_neither_overlap_nor_leave_gaps() -> None:
    fan = [(3, 5), (150, 9), (157, 120), (60, 155), (7, 90)]
    hits = np.zeros((10, 10), int)
    for a, b in pairwise([*fan, fan[0]]):
        part = raster.polygon([(70, 66), a, b], 10, 10)
        if part is not None:
            hits[part[1] : part[1] + part[0].shape[0], part[2] : part[2] + part[0].shape[1]] += part[0]
    whole = raster.polygon(fan, 10, 10)
    assert whole is not None
    assert hits.max() == 1 and hits.sum() == whole[0].sum()


def test_files_lie_as_in_cityscapes_and_hold_the_scene(tmp_path) -> None:
    seen: list[tuple[int, int]] = []
    assert write_split(tmp_path, "val", limit=3, workers=1, on_image=lambda *at: seen.append(at)) == tmp_path
    assert seen == [(1, 3), (2, 3), (3, 3)]
    for index in range(3):
        scene = render("val", index)
        stem = tmp_path / "gtFine" / "val" / scene.city / f"{scene.image_id}_gtFine"
        photo = tmp_path / "leftImg8bit" / "val" / scene.city / f"{scene.image_id}_leftImg8bit.png"
        assert np.array_equal(np.array(Image.open(photo)), scene.rgb)
        ids = np.array(Image.open(f"{stem}_instanceIds.png"))
        assert np.array_equal(ids, scene.instance_ids)
        labels = np.array(Image.open(f"{stem}_labelIds.png"))
        assert labels.dtype == np.uint8
        assert np.array_equal(labels, np.where(ids >= 1000, ids // 1000, ids))
    assert sorted(p.name for p in tmp_path.iterdir() if not p.name.startswith(".")) == [
        "complete-val.json", "gtFine", "leftImg8bit",
    ]  # fmt: skip


def test_a_killed_write_is_redone_and_a_complete_one_left_alone(tmp_path) -> None:
    def killed(done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_split(tmp_path, "demo", limit=2, workers=1, on_image=killed)
    assert not (tmp_path / "complete-demo.json").exists() and not (tmp_path / "gtFine").exists()
    write_split(tmp_path, "demo", limit=2, workers=1)
    photos = sorted(tmp_path.rglob("*_leftImg8bit.png"))
    before = [p.stat().st_mtime_ns for p in photos]
    write_split(tmp_path, "demo", limit=2, workers=1)
    assert [p.stat().st_mtime_ns for p in photos] == before and len(photos) == 2
    assert json.loads((tmp_path / "complete-demo.json").read_text())["images"] == 2


def test_a_part_of_a_split_grows_to_what_is_asked(tmp_path) -> None:
    write_split(tmp_path, "demo", limit=1, workers=1)
    write_split(tmp_path, "demo", limit=3, workers=2)
    assert len(list(tmp_path.rglob("*_leftImg8bit.png"))) == 3
    assert not list(tmp_path.glob(".part-*"))


def test_a_folder_that_cannot_be_made_is_one_clear_message(tmp_path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="BENCH_CACHE"):
        ensure(tmp_path / "file" / "cache", "demo")
    with pytest.raises(UsageError, match="train, val, demo"):
        write_split(tmp_path, "test")
