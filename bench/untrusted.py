"""Files that others wrote, read within bounds: they end, they fit into memory, and they say a thing once.

What is wrong is an OSError (the file) or a ValueError (what it says); whoever asked names the file and the remedy.
"""

from __future__ import annotations

import errno
import json
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

MAX_BYTES = 1 << 30  # of a file that is read whole; COCO's largest JSON has about a third
MAX_LINE = 1 << 26  # bytes of a line; an image of ten thousand segments needs a hundredth
LONE_SURROGATE = re.compile(r"[\ud800-\udfff]")
ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def check_regular(path: Path, limit: int = MAX_BYTES) -> None:
    """OSError for what is no regular file (a pipe or a device need not end) or has more than `limit` bytes."""
    try:
        found = path.stat()
    except ValueError:  # a NUL, or what no file system can spell
        raise OSError(errno.EINVAL, "this is not the name of a file", str(path)) from None
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file", str(path))
    if found.st_size > limit:
        raise OSError(errno.EFBIG, f"it has {found.st_size} bytes, more than {limit}", str(path))


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """A whole file."""
    check_regular(path, limit)
    return path.read_bytes()


def lines_of(path: Path) -> Iterator[bytes]:
    """The lines of a file of any length, each with its newline where it has one."""
    check_regular(path, limit=1 << 62)
    with path.open("rb") as stream:
        while line := stream.readline(MAX_LINE + 1):
            if len(line) > MAX_LINE:
                raise OSError(errno.EFBIG, f"a line has more than {MAX_LINE} bytes", str(path))
            yield line


def parse_json(text: bytes) -> Any:
    """What UTF-8 JSON says. Also refused: NaN and infinities, a key that an object has twice, too deep a nesting,
    and half a character (\\ud800 alone), which no file could be named by."""
    decoded = text.decode("utf-8")
    try:
        value = json.loads(decoded, object_pairs_hook=_once, parse_constant=_no_number, parse_float=_finite)
        if ESCAPED_SURROGATE.search(decoded) and LONE_SURROGATE.search(json.dumps(value, ensure_ascii=False)):
            raise ValueError("it holds half a character (a lone surrogate)")
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"an object has the key {twice(key for key, _ in pairs)[:80]!r} twice")
    return found


def twice(names: Iterable[str]) -> str:
    """The first name that comes again; there must be one."""
    seen: set[str] = set()
    return next(name for name in names if name in seen or seen.add(name))  # type: ignore[func-returns-value]


def _no_number(name: str) -> float:
    raise ValueError(f"it holds {name}, which is no JSON number")


def _finite(text: str) -> float:
    number = float(text)
    if number in (float("inf"), float("-inf")):
        raise ValueError(f"the number {text[:40]} is too large")
    return number
