"""Reading of id maps as frameworks write them: PNG of 8, 16 or 24 bits, npy and npz, with or without segments_info."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.errors import DataError
from bench.io import files
from bench.io.coco import read_ids
from bench.io.images import PNG_START, max_pixels, read_labels
from bench.io.segments_info import ID_LIMIT
from bench.types import MAX_SPAN

Segments = Sequence[Mapping[str, Any]]
IdArray = NDArray[np.integer[Any]]

MAP_KEYS = ("panoptic_seg", "segmentation")  # of detectron2 and transformers, beside other maps, too
LONE_KEYS = ("sem_seg", "ids", "arr_0")  # of mmdetection and savez: "sem_seg" beside another map is semantic
SEGMENT_KEYS = ("segments_info", "segments", "arr_1")
# Classes and functions that numpy and the standard containers need in a pickle.
BUILT = {
    ("numpy", "ndarray"), ("numpy", "dtype"), ("collections", "OrderedDict"), ("_codecs", "encode"),
    ("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"),
}  # fmt: skip
_NONE = np.zeros(0, dtype=np.int64)
CORE = ("numpy.core.", "numpy._core.")  # renamed in numpy 2


def is_rgb(path: Path) -> bool:
    """Return whether a file is a PNG of three or four channels, from its header."""
    return _color_type(path) in (b"\x02", b"\x06")


def has_palette(path: Path) -> bool:
    """Return whether a file is a PNG with a palette, from its header."""
    return _color_type(path) == b"\x03"


def _color_type(path: Path) -> bytes:
    """Return the colour type in the header of a PNG, one byte; b"" for other files."""
    if path.suffix.lower() != ".png":
        return b""
    with path.open("rb") as stream:
        head = stream.read(26)
    return head[25:26] if head[:8] == PNG_START else b""


def _max_bytes() -> int:
    return 8 * max_pixels() + (1 << 16)  # an int64 map of the largest image, and a header


def read_map(path: Path) -> tuple[IdArray, Segments | None]:
    """Return the (H, W) integer map of a file, and segments_info if the file holds them. An RGB PNG is 24-bit ids."""
    if path.suffix.lower() == ".png":
        return (read_ids(path) if is_rgb(path) else read_labels(path)), None
    try:
        content = _npz(path) if path.suffix.lower() == ".npz" else _npy(files.read_bytes(path, _max_bytes()))
        found, segments = _map_and_segments(content)
        return _checked(found), None if segments is None else _listed(segments)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except Exception as error:  # zipfile, numpy and pickle raise exceptions of many classes for broken files
        raise DataError(f"{path}: cannot be read ({type(error).__name__}: {error}); write it again") from None


def values_of(ids: IdArray) -> NDArray[np.int64]:
    """Return the sorted values of a map."""
    # Counting is ten times as fast as np.unique, which sorts, but needs memory for the whole range of values.
    low, high = (int(ids.min()), int(ids.max())) if ids.size else (0, 0)
    if high - low > MAX_SPAN:
        return np.unique(ids).astype(np.int64)
    return np.flatnonzero(np.bincount((ids.astype(np.int64) - low).ravel())) + low if ids.size else _NONE


def replaced(ids: IdArray, values: NDArray[np.int64], by: Sequence[int]) -> NDArray[np.int32]:
    """Return the map with each of its `values` (all of them, sorted) replaced."""
    if not ids.size or int(values[-1] - values[0]) > MAX_SPAN:
        return np.array(by, dtype=np.int32)[np.searchsorted(values, ids)]
    table = np.zeros(int(values[-1] - values[0]) + 1, dtype=np.int32)
    table[values - values[0]] = by
    found: NDArray[np.int32] = table[ids.astype(np.int64) - values[0]]
    return found


def _npz(path: Path) -> dict[str, Any]:
    with zipfile.ZipFile(path) as archive:
        # Before reading: a member of a few bytes can inflate to gigabytes.
        large = [info.filename for info in archive.infolist() if info.file_size > _max_bytes()]
        if large:
            raise DataError(f"its array {large[0]!r} declares more than {_max_bytes()} bytes")
        return {info.filename.removesuffix(".npy"): _npy(archive.read(info)) for info in archive.infolist()}


def _npy(content: bytes) -> Any:
    """Return the array of a .npy file; objects in it are unpickled by `_ArrayUnpickler`."""
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = header(stream)
    if dtype.hasobject:
        return _ArrayUnpickler(stream).load()
    # A header can declare any shape, and numpy would allocate it before reading.
    if int(np.prod(shape, dtype=object)) * dtype.itemsize > len(content):
        raise DataError(f"its header declares {shape} {dtype}, more than the file holds")
    stream.seek(0)
    return np.lib.format.read_array(stream, allow_pickle=False)


class _ArrayUnpickler(pickle.Unpickler):
    """Builds containers, numbers, text and numpy arrays only."""

    # Object arrays are pickles, and a pickle can call any function: files of others must not run code.
    def find_class(self, module: str, name: str) -> Any:
        inner = module.rpartition(".")[2] if module.startswith(CORE) else module
        if (inner, name) not in BUILT:
            raise DataError(f"it holds {module}.{name}; save arrays, such as panoptic_seg.cpu().numpy()")
        if (module, name) == ("_codecs", "encode"):
            return lambda text, encoding: text.encode("latin1")  # bytes of protocols 0 to 2
        if module.startswith(CORE):
            module = f"{'numpy._core' if hasattr(np, '_core') else 'numpy.core'}.{inner}"
        return super().find_class(module, name)


def _map_and_segments(content: Any) -> tuple[Any, Any]:
    """Return map and segments (or None) of an array, a (map, segments) pair, or a mapping of names."""
    if isinstance(content, np.ndarray) and content.dtype == object:
        content = content.item() if content.ndim == 0 else tuple(content)
    if isinstance(content, (tuple, list)) and len(content) == 2:
        return content[0], content[1]
    if not isinstance(content, Mapping):
        return content, None
    lists = [value for value in content.values() if _is_segments(value)]
    segments = next((content[key] for key in SEGMENT_KEYS if key in content), lists[0] if len(lists) == 1 else None)
    found = next((content[key] for key in MAP_KEYS if key in content), None)
    if found is None:
        maps = [value for value in content.values() if isinstance(value, np.ndarray) and value.ndim in (2, 3)]
        lone = [content[key] for key in LONE_KEYS if key in content]
        if len(maps) > 1 or not maps + lone:
            raise DataError(f"it holds {sorted(content)[:6]}; save one file for each image, the map as panoptic_seg")
        found = (lone + maps)[0]
    inner = _map_and_segments(found) if not (isinstance(found, np.ndarray) and found.dtype != object) else (found, None)
    return inner[0], segments if inner[1] is None else inner[1]


def _is_segments(value: Any) -> bool:
    """Return whether a value is a list of objects, or an array of them."""
    rows = value.tolist() if isinstance(value, np.ndarray) and value.dtype == object else value
    return isinstance(rows, (list, tuple)) and bool(rows) and all(isinstance(one, Mapping) for one in rows)


def _checked(found: Any) -> IdArray:
    ids = np.asarray(found)
    if ids.ndim == 3 and ids.shape[0] == 1:  # mmdetection's sem_seg
        ids = ids[0]
    if ids.ndim == 2 and np.issubdtype(ids.dtype, np.floating):
        exact = min(ID_LIMIT, 2 << np.finfo(ids.dtype).nmant)  # above it a float stands for several numbers
        if (np.abs(ids) < exact).all() and (ids == np.rint(ids)).all():
            ids = ids.astype(np.int32)
    if ids.ndim != 2 or not np.issubdtype(ids.dtype, np.integer):
        raise DataError(
            f"its map is {ids.shape} {ids.dtype}; (H, W) integers were expected: save the ids of one image, "
            "as panoptic_seg.astype(np.int32)"
        )
    if ids.size > max_pixels():
        raise DataError(f"its map has {ids.size} pixels, more than {max_pixels()}; give --max-pixels {ids.size}")
    return ids.astype(np.int64) if ids.dtype.itemsize == 8 else ids  # of any byte order, or unsigned


def _listed(segments: Any) -> Segments | None:
    """Return segments_info as plain dicts: a list, an object array of dicts, or JSON text."""
    if isinstance(segments, np.ndarray):
        segments = segments.item() if segments.ndim == 0 else segments.tolist()
    if isinstance(segments, (str, bytes)):
        segments = json.loads(segments)
    if segments is None:
        return None
    if not isinstance(segments, (list, tuple)) or not all(isinstance(one, Mapping) for one in segments):
        raise DataError("its segments_info is not a list of objects")
    return [{key: _plain(value) for key, value in one.items()} for one in segments]


def _plain(value: Any) -> Any:
    """Return a numpy scalar as the number that it holds."""
    return value.item() if isinstance(value, np.generic) else value
