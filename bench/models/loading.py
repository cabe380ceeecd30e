"""ModelSpec → loaded adapter, in this process or in a worker."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from bench.errors import BenchError, ModelError, UsageError, describe_error
from bench.io.config import did_you_mean
from bench.models.adapter import Adapter, as_adapter, module_from_file
from bench.models.devices import concrete_device
from bench.models.resolve import ensure_resolved
from bench.models.spec import ModelSpec, adapter_file


def adapter_module(spec: ModelSpec) -> tuple[ModuleType, str]:
    """Import the adapter's module; return it with the class name, from `module:Class` or `/path/mine.py:Class`."""
    where, _, class_name = spec.adapter.rpartition(":")
    if not where:
        raise UsageError(f"adapter {spec.adapter!r}: write it as module:Class")
    if (file := adapter_file(spec.adapter)) is not None:
        return module_from_file(file), class_name
    try:
        return importlib.import_module(f"bench.adapters.{where}"), class_name
    except ModuleNotFoundError as error:
        # A framework that the module imports is missing, not the module itself.
        if error.name != f"bench.adapters.{where}":
            raise
        raise UsageError(f"there is no adapter module {where!r}") from None


def load_model(model: ModelSpec | str, device: str = "auto", *, dataset: str = "") -> Adapter:
    """Load a model with its weights onto `device`. Raises ModelError if packages or weights are missing.

    `model` is a ModelSpec; a name such as `mask2former/minicity/tiny`; or `mask2former` or the path of a YAML, whose
    default checkpoint for `dataset` is loaded.

    >>> from bench.datasets.registry import load_dataset
    >>> model = load_model("./mine.yaml", "cpu", dataset="minicity")
    >>> image = load_dataset("minicity:demo").samples[0].read_image()
    >>> (output,) = model.infer([model.preprocess(image)])
    >>> model.postprocess(output, image.size).panoptic.size
    (256, 512)
    """
    return load_adapter(ensure_resolved(model, dataset), device)


def load_adapter(spec: ModelSpec, device: str) -> Adapter:
    """Load a model whose packages and weights are available, in this process."""
    module, class_name = adapter_module(spec)
    adapter_class = getattr(module, class_name, None)
    if adapter_class is None:
        classes = [name for name, value in vars(module).items() if isinstance(value, type)]
        raise UsageError(f"{module.__file__} has no class {class_name!r}; {did_you_mean(class_name, classes)}")
    try:
        loaded = adapter_class(spec, concrete_device(device))
    except ModuleNotFoundError as error:
        raise ModelError(f"{spec.name} needs {error.name}; pip install 'panoptic-bench[models]'") from None
    except BenchError:
        raise
    except Exception as error:
        raise ModelError(
            f"{spec.name}: {class_name} cannot be loaded ({describe_error(error)}); BENCH_DEBUG=1 shows where"
        ) from error
    if spec.compile and not getattr(loaded, "compiled", False):
        raise UsageError(f"--compile: {class_name} does not compile its network; leave it out")
    return as_adapter(loaded)


@contextmanager
def open_model(spec: ModelSpec, device: str = "auto") -> Iterator[Adapter]:
    """Yield the loaded model, from this process or from a worker if its YAML has an `env`.

    Its packages and weights must be available.
    """
    if spec.env is None:
        yield load_adapter(spec, device)
        return
    if spec.compile:
        raise UsageError(f"--compile: {spec.name} runs in an environment of its own, where it is not compiled")
    from bench.models.worker.remote import RemoteAdapter

    remote = RemoteAdapter(spec, device)
    try:
        yield remote
    finally:
        remote.close()
