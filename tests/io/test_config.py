import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from bench.errors import DataError, UsageError
from bench.io.canonical_json import canonical_json, digest
from bench.io.config import (
    AdapterName,
    ConfigName,
    FilePath,
    Settings,
    did_you_mean,
    find_config,
    from_dict,
    load_yaml,
    parse_overrides,
    read_record,
    shipped_configs,
)


@dataclass(frozen=True)
class Inner:
    size: tuple[int, int]
    rate: float = 0.5


@dataclass(frozen=True)
class Outer:
    kind: Literal["a", "b"]
    inner: Inner
    names: tuple[str, ...] = ()
    note: str | None = None


GOOD = {"kind": "a", "inner": {"size": [1, 2], "rate": 1}, "names": ["x"]}


def test_a_mapping_becomes_frozen_dataclasses() -> None:
    built = from_dict(Outer, GOOD, "here")
    assert built == Outer("a", Inner((1, 2), 1.0), ("x",))
    assert isinstance(built.inner.rate, float)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"knd": "a"}, "unknown key 'knd'; did you mean 'kind'?"),
        ({"kind": "c"}, "'c' is not one of a, b"),
        ({"inner": {"size": [1]}}, "expected 2 values, found 1"),
        ({"inner": {"size": [1, 2], "rate": "fast"}}, "inner: rate: expected float, found 'fast'"),
        ({"inner": {"rate": 1.0}}, "the key 'size' is missing"),
        ({"inner": 3}, "expected keys, found 3"),
        ({"names": 3}, "expected a list, found 3"),
        ({"note": True}, "expected str, found True"),
    ],
)
def test_whatever_does_not_fit_is_named(change: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError) as error:
        from_dict(Outer, {**GOOD, **change}, "here.yaml")
    assert said in str(error.value)
    assert str(error.value).startswith("here.yaml")


def test_a_record_ignores_unknown_keys_at_every_depth(tmp_path: Path) -> None:
    stored = {**GOOD, "more": 1, "inner": {**GOOD["inner"], "other": None}}  # type: ignore[dict-item]
    (tmp_path / "r.json").write_text(json.dumps(stored))
    assert read_record(tmp_path / "r.json", Outer, "mend it") == from_dict(Outer, GOOD, "here")
    for broken, said in (
        ({**stored, "inner": {"other": 1}}, "inner: the key 'size' is missing"),
        ([], "expected keys"),
    ):
        (tmp_path / "r.json").write_text(json.dumps(broken))
        with pytest.raises(DataError, match=rf"r\.json: {said}.*; mend it"):
            read_record(tmp_path / "r.json", Outer, "mend it")


def test_all_missing_keys_are_named_and_a_name_may_stand_for_a_list() -> None:
    with pytest.raises(UsageError, match="the keys 'kind' and 'inner' are missing"):
        from_dict(Outer, {}, "here.yaml")
    assert from_dict(Outer, {**GOOD, "names": "x"}, "here").names == ("x",)


@dataclass(frozen=True)
class Named:
    data: ConfigName
    path: FilePath = ""
    adapter: AdapterName = ""
    parts: Mapping[str, ConfigName] = field(default_factory=dict)
    reads: tuple[FilePath, ...] = ()
    set: Settings = field(default_factory=dict)
    other: str = ""


def test_files_are_relative_to_their_yaml_and_overrides_to_the_working_directory(tmp_path: Path) -> None:
    file = tmp_path / "sub" / "here.yaml"
    file.parent.mkdir()
    file.write_text(
        "{data: 'mine.yaml:val', path: weights, adapter: mine.py:Mine, parts: {a: ../x, b: coco, c: minicity:demo},"
        " reads: [t.csv], set: {init: ./w, title: a.yaml}, other: ./as-it-is}",
        encoding="utf-8",
    )
    found, beside = load_yaml(file, Named), str(file.parent)
    assert (found.data, found.path) == (f"{beside}/mine.yaml:val", f"{beside}/weights")
    assert (found.adapter, found.reads) == (f"{beside}/mine.py:Mine", (f"{beside}/t.csv",))
    assert found.parts == {"a": str(tmp_path / "x"), "b": "coco", "c": "minicity:demo"}
    assert (found.set, found.other) == ({"init": f"{beside}/w", "title": "a.yaml"}, "./as-it-is")
    assert load_yaml(file, Named, {"data": "./mine.yaml"}).data == "./mine.yaml"


@pytest.mark.parametrize("text", ["a: [1", "- 1\n- 2\n", "a: !!python/object:os.system {}", "[" * 3000])
def test_a_file_that_is_no_mapping_is_a_usage_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "broken.yaml"
    file.write_text(text)
    with pytest.raises(UsageError, match=r"broken\.yaml"):
        load_yaml(file, Outer)


def test_overrides_reach_nested_keys(tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text("kind: a\ninner: {size: [1, 2]}\n")
    overrides = parse_overrides(["inner.rate=0.25", "kind=b"])
    assert load_yaml(file, Outer, overrides) == Outer("b", Inner((1, 2), 0.25))


@pytest.mark.parametrize("pair", ["inner.rate", "=3", "kind.deeper=1", "inner=[1"])
def test_a_broken_override_is_a_usage_error(tmp_path: Path, pair: str) -> None:
    file = tmp_path / "good.yaml"
    file.write_text("kind: a\ninner: {size: [1, 2]}\n")
    with pytest.raises(UsageError):
        load_yaml(file, Outer, parse_overrides([pair]))


def test_the_digest_does_not_depend_on_the_order_of_keys() -> None:
    assert canonical_json({"b": (1, 2), "a": None}) == '{"a":null,"b":[1,2]}'
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1}) != digest({"a": 2, "b": 2})


def test_unknown_names_get_a_suggestion() -> None:
    assert did_you_mean("mask2fromer", ["mask2former", "detr"]) == "did you mean 'mask2former'?"
    with pytest.raises(UsageError, match="there is no dataset 'minicty'; did you mean 'minicity'"):
        find_config("datasets", "minicty")


def test_configs_ship_with_the_package() -> None:
    assert {"cityscapes", "minicity"} <= set(shipped_configs("datasets"))
    assert "mask2former" in shipped_configs("models")
