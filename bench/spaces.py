"""Label spaces: which classes count, which labels are void. Read from configs/labels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from bench.config import find, load_yaml
from bench.types import Categories, Category


@dataclass(frozen=True)
class VoidLabel:
    """A label that occurs in annotations and is not evaluated."""

    id: int
    name: str


@dataclass(frozen=True)
class LabelSpace:
    """The evaluated categories, in order, and the labels that are read as void."""

    categories: tuple[Category, ...]
    void: tuple[VoidLabel, ...] = ()

    @cached_property
    def scored(self) -> Categories:
        return Categories(self.categories)

    @cached_property
    def void_ids(self) -> frozenset[int]:
        return frozenset(label.id for label in self.void)


def load_space(name: str) -> LabelSpace:
    """The label space `name` (a shipped one, or the path of a YAML)."""
    return load_yaml(find("labels", name), LabelSpace)
