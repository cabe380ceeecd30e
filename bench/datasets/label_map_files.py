"""Label map files of configs/labels, and the choice of a map from a model's label space to a data set's."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.datasets.label_maps import VOID, LabelMap, compose
from bench.datasets.label_spaces import FROM_FILE, Labels, LabelSpace, load_space
from bench.errors import UsageError, error_context
from bench.io.canonical_json import digest
from bench.io.config import find_config, load_yaml, shipped_configs
from bench.types import Categories


@dataclass(frozen=True)
class MapFile:
    """Schema of a label map. `map` sends each label of `source`, also void ones, to a label of `target` or `void`.

    `source` and `target` are label spaces; `from-file` as `source` are the model's own classes (of a derived data set,
    those of its base), as `target` those that the data set lists.
    """

    source: Labels
    target: Labels
    map: Mapping[str, str]


def load_map(
    name: str, count: Collection[str] = (), *, source: Categories | None = None, target: Categories | None = None
) -> LabelMap:
    """Load a label map by its shipped name or the path of a YAML; `source` and `target` replace `from-file`.

    Void labels of the target space can be evaluated as classes. Void labels of the source that the map sends to a class
    are appended to the source categories, so that their pixels become valid.
    """
    path = find_config("labels", name)
    file = load_yaml(path, MapFile)
    with error_context(path):
        into = load_space(_own(file.target, target)).with_void_as_classes(count)
        return _label_map(file, load_space(_own(file.source, source)), into)


def _own(labels: Labels, known: Categories | None) -> Labels:
    if labels != FROM_FILE:
        return labels
    if known is None:
        raise UsageError(f"{FROM_FILE}: needs a data set that lists its own classes; name a label space")
    return known.items


def source_space(name: str) -> LabelSpace:
    """Return the label space that a label map starts at; void labels that it sends to a class are categories."""
    file = load_yaml(find_config("labels", name), MapFile)
    source = load_space(file.source)
    labels = load_map(name)
    return source.with_void_as_classes([v.name for v in source.void if v.id in labels.source.index_of])


def map_to(name: str, data_name: str, categories: Categories) -> LabelMap:
    """Load a label map for predictions in its source space. Raise UsageError unless it leads to `categories`."""
    return _named_map((name, Categories(())), (data_name, categories), name)


def _label_map(file: MapFile, source: LabelSpace, target: LabelSpace) -> LabelMap:
    unlisted = [label.name for label in source.void if label.name not in file.map]
    if unlisted:
        raise UsageError(f"the label map does not list the void label {unlisted[0]!r}; map it to {VOID} or a class")
    void = {VOID, *(label.name for label in target.void)}
    names = {label: None if to in void else to for label, to in file.map.items()}
    # A void label that is mapped to a class has valid pixels in the target, so that it must be read as a class.
    promoted = [label.name for label in source.void if names[label.name] is not None]
    dropped = {label.name for label in source.void} - set(promoted)
    listed = {label: to for label, to in names.items() if label not in dropped}
    return LabelMap(source.with_void_as_classes(promoted).evaluated, target.evaluated, listed)


def map_digest(labels: LabelMap) -> str:
    """Return the SHA-256 (hex) of a label map: both spaces without their colours, and the names."""
    # Colours do not change a score.
    spaces = [[(c.id, c.name, c.isthing) for c in space] for space in (labels.source, labels.target)]
    return digest({"source": spaces[0], "target": spaces[1], "names": labels.names})


def same_categories(one: Categories, other: Categories) -> bool:
    """Return whether ids, names and kinds are equal, in the same order. Colours are ignored."""
    return [(c.id, c.name, c.isthing) for c in one] == [(c.id, c.name, c.isthing) for c in other]


def find_label_map(model: tuple[str, Categories], data: tuple[str, Categories], given: str | None) -> LabelMap | None:
    """Return the label map from a model's space to a data set's, each (name, categories); None if they are equal.

    `given` is the name or path of a map. If it is None, a shipped map is used, or else two in a row. Raise UsageError
    if no map fits.
    """
    if given is not None:
        return _named_map(model, data, given)
    if same_categories(model[1], data[1]):
        return None
    found = next(_shipped_chain(model[1], data[1]), None)
    if found is None:
        raise UsageError(
            f"the model predicts in the label space {model[0]} and the data set is scored in {data[0]}; no map leads "
            f"from one to the other. Write one (source, target, map: every class to a class or {VOID}) and give it "
            "with --label-map FILE"
        )
    return found


def _named_map(model: tuple[str, Categories], data: tuple[str, Categories], name: str) -> LabelMap:
    target = load_space(_own(load_yaml(find_config("labels", name), MapFile).target, data[1]))
    labels = load_map(name, _counted(target, data[1]), source=model[1], target=data[1])
    if not _covers(labels.source, model[1]) or not same_categories(labels.target, data[1]):
        raise UsageError(f"{name}: does not lead from {model[0]}, the model's label space, to {data[0]}, the data's")
    return labels


def _shipped_chain(source: Categories, target: Categories) -> Iterator[LabelMap]:
    """Yield shipped maps from one space to the other: single maps, then compositions of two."""
    last = [labels for name in _names() if same_categories((labels := _map_to(name, target)).target, target)]
    yield from (labels for labels in last if _covers(labels.source, source))
    for name in _names():
        first = load_map(name)
        if _covers(first.source, source):
            yield from (compose(second, first) for second in last if _covers(second.source, first.target))


def _names() -> list[str]:
    return [name for name in shipped_configs("labels") if "-to-" in name]


def _map_to(name: str, target: Categories) -> LabelMap:
    """Load a map, with those void labels of its target space as classes that are in `target`."""
    space = load_space(load_yaml(find_config("labels", name), MapFile).target)
    return load_map(name, _counted(space, target))


def _counted(space: LabelSpace, target: Categories) -> list[str]:
    names = {category.name for category in target}
    return [label.name for label in space.void if label.name in names]


def _covers(large: Categories, small: Categories) -> bool:
    """Return whether the first categories of `large` are `small`. Void labels sent to a class may follow."""
    return same_categories(Categories(large.items[: len(small)]), small)


def label_map_record(labels: LabelMap) -> dict[str, Any]:
    return {"sha256": map_digest(labels), "names": dict(labels.names)}
