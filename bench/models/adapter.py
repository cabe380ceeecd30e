"""The adapter interface of all models, and loading of user adapter files."""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

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
    """Return torch's number of intra-op threads, or None if torch is not imported."""
    # Importing torch to ask would take seconds, and set threads for a model that does not use it.
    torch = sys.modules.get("torch")
    return None if torch is None else int(torch.get_num_threads())


class Adapter(Protocol):
    """A loaded model. Its input is images, never ground truth.

    Optional attributes: `device`, `threads`, `parameters`, `revision`, `hardware` (the device's name) and
    `synchronize()`, which waits for the device; without it, on any device but the CPU, `--timing` measures only the
    total. `multiply_adds` is a positive integer, or a method that takes an `Image` and returns one; without it,
    torch counts them if `parameters` is set (`bench.models.flops`). `compiled` is true if the network was compiled as
    `spec.compile` asks.

    `collate(list)` makes what `infer` takes of the preprocessed images of a batch, such as a padded tensor on the
    device; it is called from one thread while `infer` of an earlier batch runs. Such an adapter's `infer` takes the
    list, too.
    """

    categories: Categories

    def preprocess(self, image: Image) -> Any:
        """Return the network's input for one image. Called from several threads."""

    def infer(self, batch: Sequence[Any]) -> Sequence[Any]:
        """Return raw outputs in the order of the batch, computed to the end. Called from one thread."""

    def postprocess(self, output: Any, size: tuple[int, int]) -> Prediction:
        """Return the prediction of one raw output at the original image size (H, W)."""


class Predictor(Protocol):
    """The minimal interface of a model: categories and `predict`."""

    categories: Categories

    def predict(self, images: Sequence[Image]) -> Sequence[Prediction]:
        """Return the predictions of a batch, in the order of the images."""


class PredictOnlyAdapter:
    """Adapter around a Predictor; preprocessing and postprocessing are part of `infer`."""

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
    """Import a user's adapter file, with its folder on `sys.path`. Raises ModelError if the import fails."""
    module_spec = importlib.util.spec_from_file_location(f"bench_own_{path.stem}", path)
    if module_spec is None or module_spec.loader is None or not path.is_file():
        raise UsageError(f"{path}: there is no such adapter file")
    module = importlib.util.module_from_spec(module_spec)
    # dataclasses look up the module of a class by its name.
    sys.modules[module_spec.name] = module
    # Modules beside the file can be imported, as beside any script.
    folder = str(path.resolve().parent)
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    try:
        module_spec.loader.exec_module(module)
    except Exception as error:
        raise ModelError(f"{path}: cannot be imported ({describe_error(error)}); BENCH_DEBUG=1 shows where") from error
    return module


def as_adapter(model: Any) -> Adapter:
    """Return a model with only `predict` wrapped as an Adapter; any other model unchanged."""
    adapter: Adapter = model if hasattr(model, "infer") else PredictOnlyAdapter(model)
    return adapter
