"""Stub modules in place of compiled ones, so that pure-Python builds of frameworks import and run.

They contain only what panoptic inference needs (`torch_ops`); anything else raises when called. Installed only on
request (`compiled_ops: stand-in` in a model's YAML) and never over a real module.
"""

# Runs on Python 3.9 in workers of other frameworks: no newer syntax.

from __future__ import annotations

import importlib
import importlib.machinery
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from bench.adapters import torch_ops


def mmcv_ext() -> None:
    """Install a stub of `mmcv._ext`, which mmcv-lite lacks."""
    _install("mmcv._ext", {"nms": torch_ops.nms, "roi_align_forward": _roi_align_forward})


def torchvision() -> None:
    """Install stubs of the torchvision operators that detectron2 imports, unless torchvision is installed."""
    if _importable("torchvision"):
        return
    nms = {"nms": torch_ops.nms, "batched_nms": torch_ops.batched_nms}
    parent = _install("torchvision", {"__version__": "0.99.0"}, package=True)
    ops = _install("torchvision.ops", {**nms, "roi_align": _torchvision_roi_align, "RoIPool": _Absent}, package=True)
    parent.ops = ops  # type: ignore[attr-defined]
    ops.boxes = _install("torchvision.ops.boxes", nms)  # type: ignore[attr-defined]


def detectron2_c() -> None:
    """Install a stub of `detectron2._C`, which only rotated boxes and deformable convolutions call."""
    _install("detectron2._C", {})


def _install(name: str, functions: Mapping[str, Any], *, package: bool = False) -> ModuleType:
    if _importable(name):
        return sys.modules[name]
    module = ModuleType(name, "A stand-in of panoptic-bench for a compiled module.")
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=package)
    module.__file__ = f"<stand-in for {name}>"
    if package:
        module.__path__ = []
    for key, value in functions.items():
        setattr(module, key, value)
    # Frameworks fetch all operators on import; the others must exist, and raise only when called.
    module.__getattr__ = lambda attribute: _absent(name, attribute)  # type: ignore[method-assign]
    sys.modules[name] = module
    return module


def _importable(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


def _absent(module: str, name: str) -> Callable[..., Any]:
    if name.startswith("__"):
        raise AttributeError(name)

    def call(*arguments: Any, **named: Any) -> Any:
        raise RuntimeError(
            f"{module}.{name} is compiled code that its stand-in does not contain; install the compiled package"
        )

    return call


class _Absent:
    """A class that raises RuntimeError when instantiated."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        raise RuntimeError("this operator of torchvision has no stand-in")


def _roi_align_forward(
    features: Any, rois: Any, output: Any, argmax_y: Any, argmax_x: Any, aligned_height: int, aligned_width: int,
    spatial_scale: float, sampling_ratio: int, pool_mode: int, aligned: bool,
) -> None:  # fmt: skip
    """Implement mmcv's signature: the result is written to `output`; pool mode 1 is average pooling."""
    if pool_mode != 1:
        raise RuntimeError("the stand-in for roi_align has only average pooling; install the compiled package")
    size = aligned_height, aligned_width
    output.copy_(torch_ops.roi_align(features, rois, size, spatial_scale, sampling_ratio, aligned))


def _torchvision_roi_align(
    input: Any,
    boxes: Any,
    output_size: Any,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Any:
    """Implement torchvision's signature, with one output size or a pair."""
    size = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
    return torch_ops.roi_align(input, boxes, size, spatial_scale, sampling_ratio, aligned)
