"""Bounded reading of untrusted files, strict JSON and JSON Lines, atomic writing, and the cache folder.

Errors are OSError for the file and ValueError for its content; `read_json` and `read_lines` raise DataError.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import orjson

from bench.errors import DataError, first_duplicate

# Limit of a file that is read whole. COCO's largest JSON has about a third of it.
MAX_BYTES = 1 << 30
# Limit of a line. An image of ten thousand segments needs a hundredth of it.
MAX_LINE = 1 << 26
LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def check_regular(path: Path, limit: int = MAX_BYTES) -> None:
    """Raise OSError unless `path` is a regular file of at most `limit` bytes."""
    # Reading from a pipe or a device may never end.
    try:
        found = path.stat()
    except ValueError:
        raise _not_a_name(path) from None
    _check(found, path, limit)


def _not_a_name(path: Path) -> OSError:
    # Of a name with a NUL byte or with a character that the file system cannot encode, `os` raises a ValueError.
    return OSError(errno.EINVAL, "this is not the name of a file", str(path))


def _check(found: os.stat_result, path: Path, limit: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if found.st_size > limit:
        raise OSError(errno.EFBIG, f"it has {found.st_size} bytes, more than {limit}", str(path))


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Return the content of a regular file of at most `limit` bytes. Raise OSError for any other."""
    try:
        # Opening a pipe would wait for its writer. By `os`, since tens of thousands of small files are read.
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except ValueError:
        raise _not_a_name(path) from None
    with open(number, "rb", buffering=0) as stream:
        _check(os.fstat(number), path, limit)
        return stream.read()


def iter_lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of a file of any length, newlines included. Raise OSError for a line over MAX_LINE bytes."""
    check_regular(path, limit=1 << 62)
    with path.open("rb") as stream:
        while line := stream.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise OSError(errno.EFBIG, f"a line has more than {MAX_LINE} bytes", str(path))
            yield line


def loads_strict(text: bytes) -> Any:
    """Parse UTF-8 JSON. Raise ValueError for NaN, infinities, repeated keys, lone surrogates and too deep nesting."""
    try:
        value = orjson.loads(text)
        # orjson keeps the last of repeated keys and rounds integers over 64 bits. Written again, a value has a colon
        # for each of its keys and those of its strings, and "e+" in every fraction from 1e16 on.
        again = orjson.dumps(value)
        if b"\\u" not in text and b"e+" not in again and again.count(b":") == text.count(b":"):
            return value
    except (ValueError, TypeError, RecursionError):
        pass
    return _loads_by_json(text)


def _loads_by_json(text: bytes) -> Any:
    """Parse what orjson refuses or may change, as `loads_strict`; the messages are of the module json."""
    decoded = text.decode("utf-8")
    try:
        value = json.loads(
            decoded, object_pairs_hook=_reject_duplicates, parse_constant=_no_number, parse_float=_finite
        )
        # A lone surrogate cannot be encoded, so that no file could have such a name. Only an escape can bring one in.
        if ESCAPED_SURROGATE.search(decoded) and LONE_SURROGATE.search(json.dumps(value, ensure_ascii=False)):
            raise ValueError("it holds half a character (a lone surrogate)")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _reject_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):  # the search comes after, since this is called for each of a million objects
        twice = first_duplicate(key for key, _ in pairs) or ""
        raise ValueError(f"an object has the key {twice[:80]!r} twice")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"it holds {name}, which is not a JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:40]} is too large")
    return number


def cache_folder() -> Path:
    """Return `$BENCH_CACHE`, else `panoptic-bench` in the user's cache folder (`$XDG_CACHE_HOME` or ~/.cache)."""
    if chosen := os.environ.get("BENCH_CACHE"):
        return Path(chosen)
    if home := os.environ.get("XDG_CACHE_HOME"):
        return Path(home) / "panoptic-bench"
    return Path.home() / ".cache" / "panoptic-bench"


RERUN_HINT = "repeat the run with --overwrite"


@contextmanager
def write_atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside `path`, which replaces `path` unless the body fails.

    An OSError of the body names `path`.
    """
    # Shards and processes that share a cache may write one file at the same time, hence the process id in the name.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        temporary.replace(path)
    except OSError as error:  # that of a full disk names no file
        raise OSError(error.errno, error.strerror, str(path)) from None
    finally:
        with suppress(OSError):
            temporary.unlink()


def write_json(path: Path, value: Any, indent: int | None = 1) -> None:
    """Write a value as JSON, atomically. Raise OSError with the path if the disk is full."""
    text = json.dumps(value, indent=indent, ensure_ascii=False, allow_nan=False)
    with write_atomic(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path, remedy: str = f"{RERUN_HINT}, or copy its folder anew") -> Any:
    """Read a JSON file. Raise DataError, naming the file and the remedy, if it is missing or broken."""
    try:
        return loads_strict(read_bytes(path))
    except (OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be read ({error}); {remedy}") from None


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the complete lines of a JSONL file, none if it is missing. A last line without newline is skipped."""
    if not path.exists():
        return
    try:
        for number, text in enumerate(iter_lines(path), 1):
            # A run that was killed can leave the last line incomplete; its image is predicted again.
            if not text.endswith(b"\n"):
                return
            yield _parsed(text, f"{path}: line {number}")
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error}); {RERUN_HINT}") from None


def _parsed(text: bytes, where: str) -> dict[str, Any]:
    try:
        line = loads_strict(text)
        if not isinstance(line, dict) or not isinstance(line.get("image_id"), str):
            raise ValueError("it has no image_id")
    except ValueError as error:
        raise DataError(f"{where} is broken ({error}); {RERUN_HINT}") from None
    found: dict[str, Any] = line
    return found


def open_append(path: Path) -> IO[str]:
    """Open for appending and truncate an incomplete last line. Raise DataError for a symbolic link."""
    if path.is_symlink():
        raise DataError(f"{path}: is a link, and what it leads to would be written into; {RERUN_HINT}")
    if path.exists():
        check_regular(path)
        content = path.read_bytes()
        # What is appended to an incomplete line would make one broken line of two images.
        keep = content.rfind(b"\n") + 1
        if keep < len(content):
            os.truncate(path, keep)
    return path.open("a", encoding="utf-8")
