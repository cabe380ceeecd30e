"""Ways to spoil the bytes of a file, drawn from a seeded generator: any bytes, and by the format of the file."""

from __future__ import annotations

import io
import json
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from random import Random
from typing import Any

import yaml

Mutate = Callable[[Random, bytes], bytes]


def nested(depth: int) -> list[Any]:
    """[[[…]]]"""
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


VALUES: tuple[Any, ...] = (
    None, True, False, -1, 0, 1, 3, 255, 256, 65536, 1 << 24, 1 << 31, 1 << 63, -(1 << 63), 10**40, 10**400,
    0.5, -0.0, 1e308, 1e300, float("nan"), float("inf"), float("-inf"),
    "", " ", ".", "..", "../../etc/passwd", "/etc/passwd", "C:\\secret.png", "a\0b", "\ud800", "\x1b[2J", "é" * 300,
    "x" * 5000, "a/" * 3000, "nan", "1", "__class__", "{0}", "%s", "[red]", "*", "**/*", "gt/../gt/a.png",
    [], [[]], [None], [1, 2, 3], [-1, 0, 1], [0] * 40, {}, {"": None}, {"id": 1}, {"a": {"b": {"c": []}}}, nested(60),
)  # fmt: skip


def truncated(rng: Random, data: bytes) -> bytes:
    return data[: rng.randrange(len(data))] if data else data


def flipped(rng: Random, data: bytes) -> bytes:
    """A few bits turned."""
    spoilt = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8)) if data else 0):
        spoilt[rng.randrange(len(spoilt))] ^= 1 << rng.randrange(8)
    return bytes(spoilt)


def overwritten(rng: Random, data: bytes) -> bytes:
    at, length = rng.randrange(len(data) + 1), rng.choice((1, 4, 16, 64))
    fill = rng.choice((bytes(length), b"\xff" * length, rng.randbytes(length)))
    return data[:at] + fill + data[at + length :]


def inserted(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + rng.choice((rng.randbytes(rng.randrange(1, 40)), bytes(64), data[:200])) + data[at:]


def cut_out(rng: Random, data: bytes) -> bytes:
    at = rng.randrange(len(data) + 1)
    return data[:at] + data[at + rng.choice((1, 2, 8, 64)) :]


def strange(rng: Random, data: bytes) -> bytes:
    """Another kind of file altogether."""
    return rng.choice((b"", b"\0" * 4096, b"\xff\xfe" + data, b"\xef\xbb\xbf" + data, b"%!PS-Adobe-3.0 EPSF-3.0\n",
                       b"GIF89a\xff\xff\xff\xff\0\0\0;", b"PK\5\6" + bytes(18), b"[" * 200_000, b"{\"a\":" * 100_000,
                       b"\n" * 5000, rng.randbytes(500), zlib.compress(data), data * 3))  # fmt: skip


def json_spoilt(rng: Random, data: bytes) -> bytes:
    """One value, key or entry of a JSON document; of one line where there are several."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines)) if data.count(b"\n") > 1 and not data.startswith(b"{\n") else None
    text = data if at is None else lines[at]
    try:
        value = json.loads(text)
    except ValueError:
        return flipped(rng, data)
    new = _changed(rng, value)
    written = json.dumps(new)
    if rng.random() < 0.15 and "{" in written:
        written = _twice(rng, written)
    if at is None:
        return written.encode()
    return b"\n".join([*lines[:at], written.encode(), *lines[at + 1 :]])


def _twice(rng: Random, text: str) -> str:
    """A key that is already there, or not, right behind an opening brace."""
    opened = [i for i, letter in enumerate(text) if letter == "{"]
    at = rng.choice(opened) + 1
    key = rng.choice(("id", "image_id", "file_name", "segments_info", "score", "dataset"))
    comma = "" if text[at] == "}" else ", "
    return f"{text[:at]}{json.dumps(key)}: {json.dumps(rng.choice(VALUES))}{comma}{text[at:]}"


def _changed(rng: Random, value: Any) -> Any:
    """The document with one node changed, at any depth."""
    places = list(_places(value))
    if not places:
        return rng.choice(VALUES)
    holder, key = rng.choice(places)
    kind = rng.random()
    if kind < 0.6:
        holder[key] = rng.choice(VALUES)
    elif kind < 0.75:
        del holder[key]
    elif isinstance(holder, list):
        holder.insert(rng.randrange(len(holder) + 1), holder[key])
    else:
        holder[rng.choice(("", "id", "x" * 300, "../x"))] = holder.pop(key)
    return value


def _places(value: Any) -> Any:
    """(holder, key) of every node but the root."""
    for key in list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ():
        yield value, key
        yield from _places(value[key])


TAGS = ("&a [*a]", "&a [*a, *a]", "!!python/object/apply:os.getcwd []", "!!int x", "!!float x", "!!bool x",
        "!!timestamp x", "!!binary '*'", "!!set {a, b}", "!!omap [a]", "? [a]\n: b", "\t", "2001-99-99", "{a: 1, a: 2}",
        "1:1:1:1:1", "0x_", "0o9", "1e999", ".inf", ".nan", "-.inf", "*nothing", "!unknown x", "|\n", ">-\n  x",
        "[" * 3000, "{" * 3000, "'", '"', "@", "%", "<<: {a: b}", "9" * 5000, "---\n", "...\n")  # fmt: skip


def yaml_spoilt(rng: Random, data: bytes) -> bytes:
    """A value changed, or a word of the text replaced by what YAML reads in its own way."""
    if rng.random() < 0.5:
        words = data.decode().split(" ")
        words[rng.randrange(len(words))] = rng.choice(TAGS)
        return " ".join(words).encode()
    return yaml.safe_dump(_changed(rng, yaml.safe_load(data)), sort_keys=False).encode()


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """Type and content of a PNG's chunks."""
    found, at = [], 8
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def png_of(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG of these chunks, their checksums right."""
    parts = [struct.pack(">I", len(c)) + kind + c + struct.pack(">I", zlib.crc32(kind + c)) for kind, c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def png_spoilt(rng: Random, data: bytes) -> bytes:
    """A PNG whose checksums hold: another header, other pixels, chunks that are missing, twice or strange."""
    chunks = chunks_of(data)
    if not chunks:
        return flipped(rng, data)
    kind = rng.randrange(6)
    at = rng.randrange(len(chunks))
    if kind == 0:
        chunks[0] = (b"IHDR", _header(rng, chunks[0][1]))
    elif kind == 1:
        del chunks[at]
    elif kind == 2:
        chunks.insert(rng.randrange(len(chunks) + 1), chunks[at])
    elif kind == 3:
        chunks[at] = (chunks[at][0], rng.choice((flipped, truncated, overwritten))(rng, chunks[at][1]))
    elif kind == 4:
        chunks.insert(rng.randrange(1, len(chunks) + 1), rng.choice(CHUNKS))
    else:
        chunks = [(k, zlib.compress(_pixels(rng, c))) if k == b"IDAT" else (k, c) for k, c in chunks]
    return png_of(chunks)


def _header(rng: Random, header: bytes) -> bytes:
    fields = list(struct.unpack(">IIBBBBB", header[:13].ljust(13, b"\0")))
    at = rng.randrange(7)
    fields[at] = rng.choice((0, 1, 7, 9, 60_000, 1 << 16, (1 << 31) - 1, (1 << 32) - 1) if at < 2 else range(18))
    return struct.pack(">IIBBBBB", *fields)


def _pixels(rng: Random, compressed: bytes) -> bytes:
    """Rows of other ids, of a filter that is none, too few of them or too many."""
    try:
        raw = zlib.decompress(compressed)
    except zlib.error:
        raw = b""
    return rng.choice((flipped, truncated, overwritten, inserted))(rng, raw)


CHUNKS = (
    (b"zTXt", b"key\0\0" + zlib.compress(bytes(5_000_000))),
    (b"iCCP", b"key\0\0" + zlib.compress(bytes(5_000_000))),
    (b"iTXt", b"key\0\1\0\0\0" + zlib.compress(bytes(5_000_000))),
    (b"tEXt", b"key\0" + b"x" * 3000), (b"tRNS", b"\0" * 9), (b"PLTE", b"\1\2\3\4"), (b"acTL", b"\xff" * 8),
    (b"gAMA", b""), (b"eXIf", b"II*\0" + b"\xff" * 40), (b"IDAT", b"\0\1\2"), (b"IEND", b""), (b"abcd", b"\xff" * 30),
    (b"fcTL", b"\xff" * 26), (b"pHYs", b"\0"), (b"cHRM", b"\1"),
)  # fmt: skip


def zip_spoilt(rng: Random, data: bytes) -> bytes:
    """Members renamed, doubled, lost, turned into links or emptied, written anew; or its directory's numbers."""
    if rng.random() < 0.4:
        return _lying(rng, data)
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old:
            members = [(info, old.read(info)) for info in old.infolist()]
    except (zipfile.BadZipFile, ValueError):
        return flipped(rng, data)
    stream = io.BytesIO()
    chosen = rng.randrange(len(members))
    names = ("../../x.png", "/etc/passwd", "a\\b.png", " ", "x" * 400, ".", "CON", "é.png", members[0][0].filename)
    with warnings.catch_warnings(), zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as new:
        warnings.simplefilter("ignore")  # a member that is there twice
        for number, (info, content) in enumerate(members):
            if number != chosen:
                new.writestr(info, content)
                continue
            kind = rng.randrange(5)
            if kind == 0:
                new.writestr(rng.choice(names), content)
            elif kind == 1:
                link = zipfile.ZipInfo(info.filename)
                link.create_system, link.external_attr = 3, 0o120777 << 16
                new.writestr(link, "/etc/passwd")
            elif kind == 2:
                new.writestr(info, rng.choice((flipped, truncated, strange))(rng, content))
            elif kind == 3:
                new.writestr(info, content)
                new.writestr(info.filename, b"")
    return stream.getvalue()


def _lying(rng: Random, data: bytes) -> bytes:
    """A field of a header or of the directory with another number: sizes, offsets, methods, flags."""
    signature, length = rng.choice(((b"PK\1\2", 46), (b"PK\3\4", 30), (b"PK\5\6", 22)))
    starts = [at for at in range(len(data)) if data.startswith(signature, at)]
    if not starts:
        return truncated(rng, data)
    at = rng.choice(starts) + rng.randrange(4, length, 2)
    number = rng.choice((0, 1, 8, 9, 12, 99, 0x7FFF, 0xFFFF, rng.randrange(1 << 16)))
    return data[:at] + struct.pack("<H", number) + data[at + 2 :]


ANY: tuple[Mutate, ...] = (truncated, flipped, flipped, overwritten, inserted, cut_out, strange)
OF_FORMAT: dict[str, Mutate] = {
    ".json": json_spoilt, ".jsonl": json_spoilt, ".yaml": yaml_spoilt, ".png": png_spoilt, ".zip": zip_spoilt,
}  # fmt: skip


def mutated(rng: Random, suffix: str, data: bytes) -> tuple[str, bytes]:
    """The name of what was done, and the spoilt bytes."""
    by_format = OF_FORMAT.get(suffix)
    change = by_format if by_format is not None and rng.random() < 0.65 else rng.choice(ANY)
    return change.__name__, change(rng, data)
