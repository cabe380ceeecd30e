"""Label maps as files, and the way from a model's space to a data set's."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from bench.datasets.label_map_files import find_label_map, load_map, map_digest
from bench.datasets.label_spaces import load_space
from bench.errors import UsageError
from bench.io.config import find_config

SHIPPED = find_config("labels", "cityscapes-to-ika")
CITYSCAPES = ("cityscapes-19", load_space("cityscapes-19").evaluated)
IKA = ("ika-12", load_space("ika-12").evaluated)
COCO = ("coco-133", load_space("coco-133").evaluated)


def test_the_published_reduction() -> None:
    """train ids 0..18 → ids of convert_cityscapes_to_ika_reduced.xml; 11 is none."""
    labels = load_map("cityscapes-to-ika", ["none"])
    targets = [labels.category_of[c.id] for c in CITYSCAPES[1]]
    assert [c.id for c in targets if c] == [0, 1, 2, 2, 2, 3, 3, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11, 7, 7]


def test_none_is_void_unless_it_counts() -> None:
    labels = load_map("cityscapes-to-ika")
    assert labels.names["train"] is None
    assert [c.name for c in labels.source.items[19:]] == [
        "guard rail", "bridge", "tunnel", "polegroup", "caravan", "trailer"
    ]  # fmt: skip
    counted = load_map("cityscapes-to-ika", ["none"])
    assert counted.names["train"] == counted.names["ego vehicle"] == "none"
    assert "license plate" not in counted.names
    assert map_digest(labels) != map_digest(counted)


def test_coco_reaches_all_but_two_classes() -> None:
    labels = load_map("coco-to-cityscapes")
    reached = {name for name in labels.names.values() if name}
    assert {c.name for c in labels.target} - reached == {"pole", "rider"}
    assert len(labels.names) == 133


def test_the_digest_is_of_what_the_map_says(tmp_path: Path) -> None:
    shipped = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    copy = tmp_path / "mine.yaml"
    copy.write_text(yaml.safe_dump({**shipped, "map": dict(reversed(shipped["map"].items()))}), encoding="utf-8")
    assert map_digest(load_map(str(copy))) == map_digest(load_map("cityscapes-to-ika"))
    copy.write_text(yaml.safe_dump({**shipped, "map": {**shipped["map"], "car": "truck"}}), encoding="utf-8")
    assert map_digest(load_map(str(copy))) != map_digest(load_map("cityscapes-to-ika"))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train": None}, "does not list the class 'train'"),
        ({"caravan": None}, "does not list the void label 'caravan'"),
        ({"car": "cart"}, "'cart', which is not in its target space"),
        ({"tram": "bus"}, "lists 'tram', which is not in its source space"),
        ({"sky": "person"}, "sends the stuff class 'sky' to the thing 'person'"),
    ],
)
def test_a_wrong_file_is_named(change: dict[str, str | None], said: str, tmp_path: Path) -> None:
    shipped = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
    names = {**shipped["map"], **change}
    mine = tmp_path / "mine.yaml"
    mine.write_text(yaml.safe_dump({**shipped, "map": {k: v for k, v in names.items() if v}}), encoding="utf-8")
    with pytest.raises(UsageError, match=said) as error:
        load_map(str(mine))
    assert str(mine) in str(error.value)


def test_the_way_between_spaces_is_found() -> None:
    assert find_label_map(CITYSCAPES, CITYSCAPES, None) is None
    direct = find_label_map(CITYSCAPES, IKA, None)
    assert direct is not None
    assert map_digest(direct) == map_digest(load_map("cityscapes-to-ika"))
    counted = find_label_map(
        CITYSCAPES, ("ika-12", load_space("ika-12").with_void_as_classes(["none"]).evaluated), None
    )
    assert counted is not None
    assert counted.names["train"] == "none"
    chained = find_label_map(COCO, IKA, None)
    assert chained is not None
    assert (chained.names["stop sign"], chained.names["bicycle"], chained.names["cat"]) == ("pole", "two wheeler", None)


def test_no_way_names_both_and_the_remedy() -> None:
    with pytest.raises(UsageError) as error:
        find_label_map(IKA, COCO, None)
    for word in ("ika-12", "coco-133", "--label-map"):
        assert word in str(error.value)


def test_a_given_map_must_fit() -> None:
    assert find_label_map(CITYSCAPES, IKA, "cityscapes-to-ika") is not None
    with pytest.raises(UsageError, match="does not lead from ika-12"):
        find_label_map(IKA, CITYSCAPES, "cityscapes-to-ika")
    with pytest.raises(UsageError, match="did you mean 'cityscapes-to-ika'"):
        find_label_map(CITYSCAPES, IKA, "cityscapes-to-ikea")
