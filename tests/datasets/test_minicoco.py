"""minicoco: the same everywhere, COCO's classes and segments, pictures of something, files as COCO lays them."""

import json

import numpy as np
import pytest
from embedded import assert_manifest_covers, assert_manifest_holds, digests_without_cpu_features, manifest
from PIL import Image

from bench.datasets import coco as coco_panoptic
from bench.datasets.dataset import DatasetSpec
from bench.datasets.label_spaces import load_space
from bench.datasets.synthetic.minicity.dice import Dice
from bench.datasets.synthetic.minicoco.labels import CATEGORY_OF, panoptic_of, segment_id
from bench.datasets.synthetic.minicoco.scene import SIZES, SPLITS, VERSION, Picture, render
from bench.datasets.synthetic.minicoco.subjects import Aim
from bench.datasets.synthetic.minicoco.write import MINICOCO
from bench.io.config import find_config, load_yaml

SAMPLE = 40  # images of val that the statistics are taken over
HASHES = manifest("minicoco")
PERSON, BICYCLE, LIGHT, STOP, ROAD, FENCE = 1, 2, 10, 13, 149, 185


@pytest.fixture(scope="module")
def pictures() -> list[Picture]:
    return [render("val", index) for index in range(SAMPLE)]


def test_manifest_covers_the_present_version() -> None:
    assert_manifest_covers(HASHES, VERSION, SPLITS)


def test_pixels_equal_the_manifest(pictures: list[Picture]) -> None:
    demo = [render("demo", index) for index in range(3)]
    assert_manifest_holds(HASHES, val=pictures[:3], demo=demo)


def test_pixels_do_not_depend_on_the_cpu() -> None:
    assert digests_without_cpu_features("minicoco", 3) == HASHES["splits"]["val"]["first"]


def test_labels_become_the_segments_of_coco() -> None:
    rider, crowd, road, parking, barrier, pole = 25000, 24, 7, 9, 14, 17
    ids = np.array([[rider, 24000, crowd, 33], [road, parking, 13, barrier], [pole, 19000, 19001, 60000]], np.uint16)
    panoptic = panoptic_of(ids)
    kinds = [(panoptic.segments_info[n - 1].category_id, panoptic.segments_info[n - 1].iscrowd) if n else None
             for n in panoptic.id_map.ravel().tolist()]  # fmt: skip
    assert kinds == [
        (PERSON, False), (PERSON, False), (PERSON, True), (BICYCLE, True),
        (ROAD, False), (ROAD, False), (FENCE, False), (FENCE, False),
        None, (LIGHT, False), (LIGHT, False), (STOP, False),
    ]  # fmt: skip
    assert panoptic.id_map[0, 0] != panoptic.id_map[0, 1]  # rider and walker are two people
    assert panoptic.id_map[2, 1] != panoptic.id_map[2, 2]  # two heads are two lights
    assert panoptic.id_map[1, 0] == panoptic.id_map[1, 1]  # stuff is one segment


def test_segment_ids_fill_the_24_bits_and_never_repeat() -> None:
    ids = [segment_id(PERSON, position) for position in range(256)]
    assert len(set(ids)) == 256 and min(ids) > 65535 and max(ids) < 1 << 24


def test_categories_are_cocos(pictures: list[Picture]) -> None:
    isthing = {c.id: c.isthing for c in load_space("coco-133").categories}
    assert set(CATEGORY_OF.values()) <= set(isthing)
    for picture in pictures:
        infos = picture.panoptic.segments_info
        stuff = [s.category_id for s in infos if not isthing[s.category_id]]
        assert len(set(stuff)) == len(stuff)
        crowds = [s.category_id for s in infos if s.iscrowd]
        assert len(set(crowds)) == len(crowds) and all(isthing[c] for c in crowds)


def test_pictures_are_varied_and_less_crowded_than_streets(pictures: list[Picture]) -> None:
    counts = [len(picture.panoptic.segments_info) for picture in pictures]
    assert 5 <= np.median(counts) <= 14
    assert len({picture.panoptic.size for picture in pictures}) >= 5
    assert {picture.panoptic.size for picture in pictures} <= set(SIZES)
    seen = {s.category_id for picture in pictures for s in picture.panoptic.segments_info}
    assert seen == set(CATEGORY_OF.values())
    assert any(s.iscrowd for picture in pictures for s in picture.panoptic.segments_info)
    assert np.mean([(picture.panoptic.id_map == 0).mean() for picture in pictures]) < 0.05


def test_something_is_large_in_most_pictures(pictures: list[Picture]) -> None:
    def largest_thing(picture: Picture) -> float:
        things = zip(picture.panoptic.segments_info, picture.panoptic.areas.tolist(), strict=True)
        return max((area for info, area in things if info.category_id < 100), default=0) / picture.panoptic.id_map.size

    shares = [largest_thing(picture) for picture in pictures]
    assert np.median(shares) > 0.02 and max(shares) > 0.2


@pytest.mark.parametrize("seed", range(8))
def test_a_camera_is_aimed_at_its_subject(seed: int) -> None:
    aim, size = Aim(3.5, 8.0, 2.0, 1.8, 0.9), SIZES[seed]
    camera = aim.camera(Dice(seed), size, 1.6)
    left, top = camera.project((aim.x - aim.wide / 2, aim.middle + aim.tall / 2, aim.z))
    right, bottom = camera.project((aim.x + aim.wide / 2, aim.middle - aim.tall / 2, aim.z))
    height, width = size
    assert 0.1 * width < (left + right) / 32 < 0.9 * width and 0.3 * height < (top + bottom) / 32 < 0.9 * height
    assert max((right - left) / 16 / width, (bottom - top) / 16 / height) > 0.4


def test_files_lie_as_in_coco_and_hold_the_pictures(tmp_path) -> None:
    assert MINICOCO.write_split(tmp_path, "demo", limit=3, workers=1) == tmp_path
    data = json.loads((tmp_path / "annotations" / "panoptic_demo2017.json").read_text())
    assert len(data["categories"]) == 133 and [image["id"] for image in data["images"]] == [100_001, 100_002, 100_003]
    spec = load_yaml(find_config("datasets", "minicoco"), DatasetSpec)
    files = coco_panoptic.open_files(tmp_path, spec.files["demo"], "")
    samples, _, _ = coco_panoptic.samples(files, load_space(spec.labels))
    for index, (sample, annotation) in enumerate(zip(samples, data["annotations"], strict=True)):
        picture, read = render("demo", index), sample.read_target()
        assert sample.image_id == str(picture.image_id)
        assert np.array_equal(sample.read_image().rgb, picture.rgb)
        assert np.array_equal(read.id_map, picture.panoptic.id_map)
        assert [s["area"] for s in annotation["segments_info"]] == picture.panoptic.areas.tolist()
        with Image.open(tmp_path / "annotations" / "panoptic_demo2017" / annotation["file_name"]) as png:
            assert png.mode == "RGB"
        for position, segment in enumerate(annotation["segments_info"]):
            rows, columns = np.nonzero(read.id_map == position + 1)
            x, y, width, height = segment["bbox"]
            assert (x, y, x + width, y + height) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
