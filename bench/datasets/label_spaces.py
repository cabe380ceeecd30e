"""Label spaces of configs/labels: evaluated categories and void labels."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property

from bench.errors import UsageError
from bench.io.config import ConfigName, did_you_mean, find_config, load_yaml
from bench.types import Categories, Category


@dataclass(frozen=True)
class VoidLabel:
    """Annotated label that is not evaluated.

    `isthing` is used if it is evaluated as a class, `color` also to decode labels stored as colours.
    """

    id: int
    name: str
    isthing: bool = False
    color: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True)
class LabelSpace:
    """Evaluated categories, in order, and the labels that are read as void."""

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
        """Return the space with these void labels as categories, after the others. Raise UsageError if unknown."""
        known = [label.name for label in self.void]
        for name in names:
            if name not in known:
                raise UsageError(f"the label space has no void label {name!r}; {did_you_mean(name, known)}")
        # After the others, so that the positions of the evaluated classes stay.
        promoted = tuple(Category(v.id, v.name, v.isthing, v.color) for v in self.void if v.name in names)
        return LabelSpace((*self.categories, *promoted), tuple(v for v in self.void if v.name not in names))


Labels = ConfigName | tuple[Category, ...]  # a shipped name, a YAML file, or the classes themselves
FROM_FILE = "from-file"  # the categories that the data set's own JSON lists


def load_space(labels: str | tuple[Category, ...]) -> LabelSpace:
    """Load a label space by its shipped name or the path of a YAML, or make one of its classes."""
    return load_yaml(find_config("labels", labels), LabelSpace) if isinstance(labels, str) else LabelSpace(labels)


def space_name(labels: str | tuple[Category, ...]) -> str:
    """Return the name of a label space, or, if it has none, its first classes and their number."""
    if isinstance(labels, str):
        return labels
    return f"{', '.join(category.name for category in labels[:3])}{', …' if len(labels) > 3 else ''} ({len(labels)})"
