"""Reads checkpoints of other frameworks without executing their pickles.

A pickle is a program. Official checkpoints contain tensors, numpy arrays and also training objects; tensors and
arrays are built, any other class becomes an inert object, and no other function named in the file is called.
"""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

import collections
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

from bench.errors import ModelError

ARRAYS = {
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("collections", "OrderedDict"): collections.OrderedDict,
}
CORE = {"multiarray": ("_reconstruct", "scalar"), "numeric": ("_frombuffer",)}  # of numpy.core or numpy._core
TENSORS = {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter"}  # of torch._utils
TORCH = {"Size", "device"}


class Inert:
    """Placeholder for an object of any other class: accepts every call and does nothing."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        pass

    def __setstate__(self, state: Any) -> None:
        pass

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __call__(self, *arguments: Any, **named: Any) -> Inert:
        return self

    def append(self, value: Any) -> None:
        """Accept an item of a pickled list."""

    def extend(self, values: Any) -> None:
        """Accept the items of a pickled list."""

    def add(self, value: Any) -> None:
        """Accept an item of a pickled set."""


class ArrayUnpickler(pickle.Unpickler):
    """Unpickler of containers, numbers, text, numpy arrays and tensors only."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in ARRAYS:
            return ARRAYS[module, name]
        # Bytes in pickle protocols 0 to 2 are latin-1 text and a call of this function.
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        package, _, inner = module.rpartition(".")
        if package in ("numpy.core", "numpy._core") and name in CORE.get(inner, ()):
            # numpy 2 renamed numpy.core; files of either version are read by either.
            own = "numpy._core" if hasattr(np, "_core") else "numpy.core"
            return super().find_class(f"{own}.{inner}", name)
        if module == "torch._utils" and name in TENSORS:
            return super().find_class(module, name)
        if module == "torch":
            return _of_torch(name)
        return Inert


def _latin1(text: str, encoding: str) -> bytes:
    """Encode text as in pickle protocols 0 to 2, which store bytes as latin-1 text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in {encoding!r}")
    return text.encode("latin1")


def _of_torch(name: str) -> Any:
    import torch

    value = getattr(torch, name, None)
    return value if name in TORCH or isinstance(value, torch.dtype) else Inert


def load_pickle(path: Path) -> Any:
    """Return the content of a pickle of arrays, such as `.pkl` files of detectron2's model zoo. Raises ModelError."""
    try:
        with path.open("rb") as stream:
            return ArrayUnpickler(stream, encoding="latin1").load()
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:
        raise ModelError(f"{path}: is not a pickle of arrays ({type(error).__name__}: {error})") from None


def load_torch(path: Path, trusted: bool = False) -> Any:
    """Return the content of a `torch.save` file on the CPU; only a `trusted` file is unpickled without restrictions."""
    import torch

    module: Any = SimpleNamespace(Unpickler=ArrayUnpickler, load=_load, __name__="arrays_only")
    try:
        if trusted:
            return torch.load(path, map_location="cpu", weights_only=False)
        return torch.load(path, map_location="cpu", weights_only=False, pickle_module=module)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror or error})") from None
    except Exception as error:
        raise ModelError(f"{path}: is not a checkpoint of torch ({type(error).__name__}: {error})") from None


def _load(stream: Any, **options: Any) -> Any:
    return ArrayUnpickler(stream, **options).load()


def tensors_of(content: Any, path: Path) -> dict[str, Any]:
    """Return name → tensor or array, from `state_dict` or `model` if present. Raises ModelError for other values."""
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content:
        raise ModelError(f"{path}: holds no weights by name")
    strange = [name for name, value in content.items() if not hasattr(value, "shape")]
    if strange:
        raise ModelError(
            f"{path}: {strange[0]!r} is not a plain tensor; `trust_pickle: true` in the model's YAML loads the file "
            "with pickle, which runs any code in it"
        )
    # DataParallel puts `module.` before every name.
    return {str(name).removeprefix("module."): value for name, value in content.items()}


def load_weights(
    model: Any, weights: Mapping[str, Any], source: object, optional: Callable[[str], bool] = lambda name: False
) -> None:
    """Load tensors or arrays into a network by name; those that it does not have are ignored.

    Raises ModelError if one is missing that is not `optional`, or has another shape. `source` is named in messages.
    """
    import torch

    needed = model.state_dict()
    missing = sorted(name for name in needed if name not in weights and not optional(name))
    if missing:
        raise ModelError(f"{source}: {len(missing)} tensors of the config are missing, first {missing[0]}")
    loaded = {name: torch.as_tensor(weights[name]) for name in needed if name in weights}
    for name, value in loaded.items():
        if value.shape != needed[name].shape:
            shapes = tuple(value.shape), tuple(needed[name].shape)
            raise ModelError(f"{source}: {name} has another shape, {shapes[0]}, than in the config, {shapes[1]}")
    model.load_state_dict(loaded, strict=False)
