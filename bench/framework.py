"""What checkpoints of detectron2 and mmdetection need besides weights: the framework's config, and consent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from bench.errors import ModelError


@dataclass(frozen=True)
class FrameworkModel:
    """`config` is a name in the framework's collection, or a file; `set` changes it by dotted keys. `stand-in` puts
    plain torch in the place of compiled operators that are not there. `trust_pickle` loads the checkpoint with
    pickle, which runs whatever its author put in.
    """

    config: str
    set: Mapping[str, Any] = field(default_factory=dict)
    compiled_ops: Literal["compiled", "stand-in"] = "compiled"
    trust_pickle: bool = False

    def beside(self, folder: Path) -> FrameworkModel:
        """A config that starts with a dot lies in the folder of the YAML."""
        return replace(self, config=str((folder / self.config).resolve())) if self.config.startswith(".") else self

    @property
    def files(self) -> list[Path]:
        """The config, where it is a file of the user's."""
        return [path] if (path := Path(self.config)).is_file() else []


def check_file(source: str, url: str | None) -> None:
    """The checkpoint is one file; a missing one says where it comes from."""
    if not Path(source).is_file():
        fetch = f"download {url} to there" if url else "copy it there"
        raise ModelError(f"{source}: there is no such checkpoint; {fetch}, or give --checkpoint FILE")
