"""What can be done to a file by hand; each way is a function of its path."""

from __future__ import annotations

import json
import os
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from struct import pack
from typing import Any

from evil import png_of
from sound import write, zipped

Spoil = Callable[[Path], None]
LINK = 0o120777


def holding(content: bytes) -> Spoil:
    return lambda path: write(path.parent, {path.name: content}) and None


def replacing(old: str, new: str) -> Spoil:
    """A piece of a text file, wherever it stands."""

    def spoil(path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new), encoding="utf-8")

    return spoil


def setting(*place: Any, to: Any) -> Spoil:
    """A value of a JSON file; NaN and half characters are written as they are."""

    def spoil(path: Path) -> None:
        data = json.loads(path.read_text(encoding="utf-8"))
        holder = data
        for key in place[:-1]:
            holder = holder[key]
        holder[place[-1]] = to
        path.write_text(json.dumps(data) + "\n", encoding="utf-8")

    return spoil


def without(*place: Any) -> Spoil:
    def spoil(path: Path) -> None:
        data = json.loads(path.read_text(encoding="utf-8"))
        holder = data
        for key in place[:-1]:
            holder = holder[key]
        del holder[place[-1]]
        path.write_text(json.dumps(data) + "\n", encoding="utf-8")

    return spoil


def pipe(path: Path) -> None:
    """Nobody will ever write into it."""
    path.unlink()
    os.mkfifo(path)


def link(to: str) -> Spoil:
    def spoil(path: Path) -> None:
        path.unlink()
        path.symlink_to(to)

    return spoil


def linked_out(path: Path) -> None:
    """The same PNG, but outside."""
    outside = path.parents[2] / "outside.png"
    outside.write_bytes(path.read_bytes())
    link(str(outside))(path)


def sparse(path: Path) -> None:
    """Two gigabytes of nothing."""
    os.truncate(path, 1 << 31)


def hollow_png(width: int, height: int) -> bytes:
    return png_of(
        [(b"IHDR", pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    )


def dense_png() -> bytes:
    """As many pixels as its bytes can hold at the best, and over the limit: 9,500 squared, of one bit each."""
    rows = zlib.compress(bytes(9500 * (1 + 1188)), 9)
    return png_of([(b"IHDR", pack(">IIBBBBB", 9500, 9500, 1, 0, 0, 0, 0)), (b"IDAT", rows), (b"IEND", b"")])


def zip_with(name: str, content: bytes, *, method: int = zipfile.ZIP_DEFLATED, mode: int = 0) -> Spoil:
    """The archive with one more member, or one that is there twice."""

    def spoil(path: Path) -> None:
        info = zipfile.ZipInfo(name)
        info.create_system, info.external_attr = 3, mode << 16
        with warnings.catch_warnings(), zipfile.ZipFile(path, "a") as archive:
            warnings.simplefilter("ignore")
            archive.writestr(info, content, method)

    return spoil


def zip_of(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> Spoil:
    return holding(zipped(files, method))


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def linked_member(path: Path) -> None:
    """A picture that is a symbolic link, as zip stores one."""
    zip_of({"b.jpg": members(path)["b.jpg"]})(path)
    zip_with("a.jpg", b"/etc/passwd", mode=LINK)(path)


def encrypted(path: Path) -> None:
    """Every member says that it is encrypted."""
    data = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(signature, at + 4)
    path.write_bytes(bytes(data))


BOMB = bytes((1 << 24) + 1)
DEEP = b"[" * 200_000
ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefghi", "bcdefghij", strict=True)
)


def line(*place: Any, to: Any) -> Spoil:
    """A value of the first image line."""

    def spoil(path: Path) -> None:
        first, *rest = path.read_text(encoding="utf-8").splitlines(keepends=True)
        path.write_text(first, encoding="utf-8")
        setting(*place, to=to)(path)
        path.write_text(path.read_text(encoding="utf-8") + "".join(rest), encoding="utf-8")

    return spoil
