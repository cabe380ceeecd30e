"""The one interface behind which every model stands, and how an adapter's code is found.

A worker has a copy of this file, too, in an interpreter as old as Python 3.9 and without our other packages: what
reads YAML is imported where it is used.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from bench.errors import ModelError, UsageError, describe_error
from bench.types import Categories, Image, Prediction


def torch_threads() -> int | None:
    """Threads that torch computes with in this process, where it is loaded at all."""
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


class Adapter(Protocol):
    """A loaded model. It sees images, never a target.

    It may also have `device`, `threads`, `parameters`, `hardware` (the device's name) and `synchronize()`, which waits
    for the device: without it, on another device than the CPU, `--timing` tells the whole and no stage.
    `multiply_adds`, a number or a method that takes an `Image`, is what its network computes for one image; where it
    is lacking and `parameters` are told, torch counts it (`bench.models.flops`).
    """

    categories: Categories

    def preprocess(self, image: Image) -> Any:
        """One image, made ready; called from several threads."""

    def infer(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Outputs in the order of the batch; called from one thread, which owns the device."""

    def postprocess(self, output: Any, size: tuple[int, int]) -> Prediction:
        """One output as a prediction of `size` (H, W) of the original image."""


class Predictor(Protocol):
    """The least that a model may define."""

    categories: Categories

    def predict(self, images: Sequence[Image]) -> Sequence[Prediction]:
        """A batch of images, whole."""


class PredictOnlyAdapter:
    """An adapter around a model that only predicts: its one stage is `infer`."""

    def __init__(self, model: Predictor) -> None:
        self.model = model
        self.categories = model.categories

    def preprocess(self, image: Image) -> Image:
        return image

    def infer(self, batch: Sequence[Image]) -> Sequence[Prediction]:
        return self.model.predict(batch)

    def postprocess(self, output: Prediction, size: tuple[int, int]) -> Prediction:
        if output.panoptic.size != size:
            raise ModelError(f"the model gave a map of {output.panoptic.size} for an image of {size} (H, W)")
        return output


def module_from_file(path: Path) -> ModuleType:
    """A user's own adapter file, imported under a name of its own."""
    module_spec = importlib.util.spec_from_file_location(f"bench_own_{path.stem}", path)
    if module_spec is None or module_spec.loader is None or not path.is_file():
        raise UsageError(f"{path}: there is no such adapter file")
    module = importlib.util.module_from_spec(module_spec)
    sys.modules[module_spec.name] = module  # dataclasses look their module up by name
    folder = str(path.resolve().parent)  # modules beside it can be imported, as beside any script
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    try:
        module_spec.loader.exec_module(module)
    except Exception as error:
        raise ModelError(f"{path}: cannot be imported ({describe_error(error)}); BENCH_DEBUG=1 shows where") from error
    return module


def as_adapter(model: Any) -> Adapter:
    """A model as an adapter of three stages."""
    adapter: Adapter = model if hasattr(model, "infer") else PredictOnlyAdapter(model)
    return adapter
