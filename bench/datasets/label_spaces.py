"""Label spaces: which classes count, which labels are void. Read from configs/labels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from bench.errors import UsageError
from bench.io.config import did_you_mean, find_config, load_yaml
from bench.types import Categories, Category


@dataclass(frozen=True)
class VoidLabel:
    """A label that occurs in annotations and is not evaluated; its kind and colour matter where it is made to count."""

    id: int
    name: str
    isthing: bool = False
    color: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True)
class LabelSpace:
    """The evaluated categories, in order, and the labels that are read as void."""

    categories: tuple[Category, ...]
    void: tuple[VoidLabel, ...] = ()

    def __post_init__(self) -> None:
        if not self.evaluated:
            raise UsageError("a label space needs at least one category")
        for label in self.void:
            if not all(0 <= value <= 255 for value in label.color):
                raise UsageError(f"void label {label.name!r}: color {label.color} is not in 0..255")

    @cached_property
    def evaluated(self) -> Categories:
        return Categories(self.categories)

    @cached_property
    def void_ids(self) -> frozenset[int]:
        return frozenset(label.id for label in self.void)

    def with_void_as_classes(self, names: Collection[str]) -> LabelSpace:
        """The space in which these of its void labels are categories, after the others."""
        known = [label.name for label in self.void]
        for name in names:
            if name not in known:
                raise UsageError(f"the label space has no void label {name!r}; {did_you_mean(name, known)}")
        promoted = tuple(Category(v.id, v.name, v.isthing, v.color) for v in self.void if v.name in names)
        return LabelSpace((*self.categories, *promoted), tuple(v for v in self.void if v.name not in names))


def load_space(name: str) -> LabelSpace:
    """The label space `name` (a shipped one, or the path of a YAML)."""
    return load_yaml(find_config("labels", name), LabelSpace)
