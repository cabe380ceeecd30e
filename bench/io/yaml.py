"""PyYAML's safe loader, refusing duplicate keys, aliases, and numbers of more than 64 digits."""

from __future__ import annotations

from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

MAX_DIGITS = 64  # of a number
# PyYAML passes on the errors of int(), float(), datetime and its own tables for scalars that they reject.
NOT_YAML = (yaml.YAMLError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)

if yaml.__with_libyaml__:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]

    class _Base(Composer, CParser, SafeConstructor, Resolver):
        """PyYAML's SafeLoader on libyaml's parser, several times as fast.

        Nodes are still composed in Python, where aliases can be refused.
        """

        def __init__(self, stream: Any) -> None:
            CParser.__init__(self, stream)
            Composer.__init__(self)
            SafeConstructor.__init__(self)
            Resolver.__init__(self)

else:
    _Base = yaml.SafeLoader  # type: ignore[assignment, misc]


class _Loader(_Base):
    """Loader that refuses duplicate keys, aliases and long numbers."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        # A few lines of nested aliases can expand beyond any memory.
        if self.check_event(yaml.AliasEvent):
            event: Any = self.get_event()
            raise yaml.MarkedYAMLError(None, None, "aliases (*name) are not taken; write it out", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        found = super().construct_mapping(node, deep=deep)
        if len(found) < len(node.value):
            raise yaml.MarkedYAMLError(None, None, "a key is here twice", node.start_mark)
        return found

    def construct_scalar(self, node: Any) -> Any:
        # int() of a decimal text takes time in the square of its length.
        if node.tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float") and len(node.value) > MAX_DIGITS:
            raise yaml.MarkedYAMLError(None, None, f"a number of over {MAX_DIGITS} digits", node.start_mark)
        return super().construct_scalar(node)


def parse_yaml(text: str) -> Any:
    """Parse a YAML text. Raise one of NOT_YAML if it is invalid."""
    return yaml.load(text, _Loader)  # type: ignore[arg-type]  # a safe loader
