"""Derived data sets, on a Cityscapes tree of one image that holds labels which Cityscapes does not evaluate."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PilImage

from bench.analysis.label_map_audit import audit_map
from bench.datasets.label_map_files import load_map
from bench.datasets.label_maps import LabelMap
from bench.datasets.label_spaces import load_space
from bench.datasets.registry import load_base, load_dataset, read_spec
from bench.errors import UsageError
from bench.io.config import find_config

INSTANCES = np.array(
    [
        [23, 23, 23, 23, 23, 15],
        [11, 12, 26000, 26000, 31000, 31000],
        [7, 7, 26000, 26000, 29000, 29000],
        [7, 7, 25000, 33000, 24, 24],
        [7, 7, 25000, 33000, 30001, 30001],
        [1, 1, 1, 1, 4, 4],
    ],
    dtype=np.uint16,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for kind, suffix, pixels in (
        ("leftImg8bit", "leftImg8bit", np.zeros((6, 6, 3), np.uint8)),
        ("gtFine", "gtFine_instanceIds", INSTANCES),
    ):
        folder = tmp_path / kind / "val" / "ulm"
        folder.mkdir(parents=True)
        PilImage.fromarray(pixels).save(folder / f"ulm_000000_000019_{suffix}.png")
    return tmp_path


def own(folder: Path, text: str) -> str:
    path = folder / "mine.yaml"
    path.write_text(f"title: mine\n{text}", encoding="utf-8")
    return str(path)


def test_the_truth_is_mapped(tree: Path) -> None:
    data = load_dataset("cityscapes-ika", tree)
    assert (data.name, data.split, data.base, data.space) == ("cityscapes-ika", "val", "cityscapes", "ika-12")
    assert len(data.categories) == 11
    target = data.samples[0].read_target()
    described = {
        (s.source_id, data.categories.items[data.categories.index_of[s.category_id]].name, s.iscrowd): area
        for s, area in zip(target.segments_info, target.areas.tolist(), strict=True)
    }
    assert described == {
        (7, "road", False): 6,
        (11, "building", False): 3,  # building, wall and a bridge, which Cityscapes does not evaluate
        (23, "sky", False): 5,
        (24, "person", True): 2,
        (25000, "two wheeler", False): 2,  # the rider and the bicycle stay two
        (33000, "two wheeler", False): 2,
        (26000, "car", False): 4,
        (30001, "car", False): 2,  # a trailer
        (29000, "bus", False): 2,  # a caravan
    }
    assert np.array_equal(target.id_map == 0, np.isin(INSTANCES, [1, 4, 31000]))


def test_none_can_count(tree: Path, tmp_path: Path) -> None:
    counting = load_dataset(own(tmp_path, "base: cityscapes\nlabels: cityscapes-to-ika\ncount: [none]\n"), tree)
    assert [c.name for c in counting.categories][-1] == "none"
    target = counting.samples[0].read_target()
    assert int(target.areas[[s.category_id for s in target.segments_info].index(11)]) == 6 + 2
    assert not (target.id_map == 0).any()
    assert counting.void == ()
    with pytest.raises(UsageError, match="no void label 'nothing'"):
        load_dataset(own(tmp_path, "base: cityscapes\nlabels: cityscapes-to-ika\ncount: [nothing]\n"), tree)


def test_the_base_is_as_it_was(tree: Path) -> None:
    base = load_dataset("cityscapes", tree)
    assert np.array_equal(base.samples[0].read_target().id_map == 0, np.isin(INSTANCES, [1, 4, 15, 29000, 30001]))
    again = load_base(load_dataset("cityscapes-ika", tree), tree)
    assert np.array_equal(again.samples[0].read_target().id_map, base.samples[0].read_target().id_map)
    with pytest.raises(UsageError, match="has no label map"):
        load_base(base, tree)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("base: cityscapes-ika\nlabels: cityscapes-to-ika\n", "is itself derived"),
        ("base: cityscapes\nlabels: coco-to-cityscapes\n", "starts at coco-133"),
        ("base: cityscape\nlabels: cityscapes-to-ika\n", "did you mean 'cityscapes'"),
        ("base: cityscapes\nlabels: cityscapes-to-ikea\n", "did you mean 'cityscapes-to-ika'"),
        ("base: cityscapes\nlabel: cityscapes-to-ika\n", "unknown key 'label'"),
    ],
)
def test_a_wrong_derivation_is_said(text: str, said: str, tree: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=said):
        load_dataset(own(tmp_path, text), tree)


def test_a_derived_set_is_listed_like_its_base() -> None:
    spec = read_spec(find_config("datasets", "cityscapes-ika"))
    assert (spec.splits, spec.labels) == (("train", "val"), "cityscapes-to-ika")
    assert "ika" in spec.title


def test_an_audit_counted_by_hand(tree: Path) -> None:
    derived = load_dataset("cityscapes-ika", tree)
    found = audit_map(derived, load_base(derived, tree), workers=1).to_json()
    assert found["pixels"] == {"all": 36, "covered": 28, "lost": 2, "gained": 1 + 2 + 2}
    assert found["to_void"]["train"] == 2
    assert found["unreachable"] == []
    car = next(row for row in found["classes"] if row["name"] == "car")
    assert car == {"name": "car", "pixels": 4 + 2, "from": ["car", "trailer"]}
    # A perfect model of the 19 classes cannot know the bridge (building 2 of 3 px), the caravan (no bus) and the
    # trailer (one of two cars); the crowd of people is no class of PQ here.
    classes = {"road": 1, "building": 2 / 3, "sky": 1, "two wheeler": 1, "car": 1 / 1.5, "bus": 0}
    assert found["ceiling"]["PQ"] == pytest.approx(sum(classes.values()) / len(classes))
    ious = [1, 2 / 3, 1, 1, 1, 4 / 6, 0]
    assert found["ceiling"]["mIoU"] == pytest.approx(sum(ious) / len(ious))


def test_an_audit_knows_what_is_out_of_reach(tree: Path) -> None:
    derived = load_dataset("cityscapes-ika", tree)
    labels = load_map("cityscapes-to-ika")
    less = LabelMap(labels.source, labels.target, {**labels.names, "bus": None})
    found = audit_map(replace(derived, labels=less), load_base(derived, tree), workers=1).to_json()
    assert found["unreachable"] == ["bus"]  # the caravan comes to it, but no model of the base predicts one


def coco_tree(root: Path) -> Path:
    """COCO's layout with one image: a crowd of people, two traffic lights, brick and stone walls, a cat."""
    ids = np.array([[1, 1, 2, 3], [4, 4, 5, 5], [6, 6, 0, 0]], dtype=np.int64)
    listed = {1: (1, 1), 2: (10, 0), 3: (10, 0), 4: (171, 0), 5: (175, 0), 6: (17, 0)}  # id → category, crowd
    infos = [
        {"id": i, "category_id": category, "iscrowd": crowd, "area": int((ids == i).sum()), "bbox": [0, 0, 1, 1]}
        for i, (category, crowd) in listed.items()
    ]
    classes = [{"id": c.id, "name": c.name, "isthing": int(c.isthing)} for c in load_space("coco-133").evaluated]
    (root / "annotations" / "panoptic_val2017").mkdir(parents=True)
    (root / "val2017").mkdir()
    rgb = np.stack([ids, 0 * ids, 0 * ids], axis=-1).astype(np.uint8)
    PilImage.fromarray(rgb).save(root / "annotations" / "panoptic_val2017" / "000000000001.png")
    PilImage.fromarray(rgb).save(root / "val2017" / "000000000001.jpg")
    content = {
        "images": [{"id": 1, "file_name": "000000000001.jpg", "height": 3, "width": 4}],
        "annotations": [{"image_id": 1, "file_name": "000000000001.png", "segments_info": infos}],
        "categories": classes,
    }
    (root / "annotations" / "panoptic_val2017.json").write_text(json.dumps(content), encoding="utf-8")
    return root


def test_coco_in_classes_of_cityscapes(tmp_path: Path) -> None:
    data = load_dataset("coco-cityscapes", coco_tree(tmp_path))
    assert data.categories == load_space("cityscapes-19").evaluated
    target = data.samples[0].read_target()
    described = [(s.category_id, s.iscrowd, s.declared_area) for s in target.segments_info]
    assert described == [(24, True, 2), (19, False, 2), (12, False, 4)]
    assert target.id_map.tolist() == [[1, 1, 2, 2], [3, 3, 3, 3], [0, 0, 0, 0]]
