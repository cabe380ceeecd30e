"""Both producers of an overlap agree: on plain files by the same numbers, on all others by the same words."""

from __future__ import annotations

import io
import json
import re
import zlib
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pngs import Memory, chunk, png
from scenes import SPACE, seeded_scene

from bench.datasets.registry import load_coco_files
from bench.errors import BenchError
from bench.evaluation.score import score
from bench.io import png_runs
from bench.io.coco import PanopticFile
from bench.overlap import Overlap
from bench.results.predictions import open_coco_predictions

pytestmark = pytest.mark.skipif(not png_runs.available(), reason="the kernel was not compiled here")

FILTERS = [(0,), (1,), (2,), (3,), (4,), (4, 2, 0, 3, 1, 3, 4, 0, 2)]


def file(ids: NDArray[Any], content: bytes, name: str = "a.png", *, is_truth: bool = False) -> PanopticFile:
    listed = [{"id": int(i), "category_id": SPACE.ids[k % 6]} for k, i in enumerate(np.unique(ids)[::-1]) if i]
    return PanopticFile(Memory(name, content), {"image_id": "a", "segments_info": listed}, SPACE.ids, is_truth)


def agrees(truth: PanopticFile, prediction: PanopticFile) -> None:
    joined = png_runs.join(truth, prediction)
    assert joined is not None
    ordinary = truth()
    assert joined.overlap == Overlap.of(ordinary, prediction())
    assert joined.truth == png_runs.panoptic_digest(ordinary.size, ordinary.segments_info, ordinary.runs)


def blocks(rng: np.random.Generator, height: int, width: int, size: int, ids: int) -> NDArray[np.int64]:
    """Squares of random 24 bit ids, 0 among them, with jagged edges."""
    palette = np.concatenate([[0], rng.integers(0, 1 << 24, ids)])
    coarse = rng.integers(0, ids + 1, (height // size + 2, width // size + 2))
    y, x = np.mgrid[:height, :width] + rng.integers(0, 2, (2, height, width)) * rng.integers(0, 2)
    return palette[coarse[y // size, x // size]]


@pytest.mark.parametrize("filters", FILTERS, ids=str)
def test_every_filter_and_shape(filters: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    for shape in [(1, 1), (1, 7), (9, 1), (5, 3), (16, 31), (33, 97)]:
        for size, count in ((1, 60), (3, 5), (8, 12), (40, 3)):
            truth, made = (blocks(rng, *shape, size, count) for _ in range(2))
            agrees(file(truth, png(truth, filters), is_truth=True), file(made, png(made, filters[::-1], idat=50)))


def test_more_pairs_than_pixels_take_the_ordinary_way() -> None:
    ids = np.arange(1, 101).reshape(10, 10)
    one = file(ids, png(ids))
    assert png_runs.join(one, one) is None


def test_by_zlib_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(png_runs, "_libdeflate", None)
    ids = blocks(np.random.default_rng(1), 40, 50, 6, 9)
    agrees(file(ids, png(ids, (4,)), is_truth=True), file(ids, png(ids, (1, 2))))
    content = png(ids)
    assert png_runs.join(file(ids, content), file(ids, content[:-14] + content[-12:])) is None


def test_real_coco_annotations(shared_data: Path) -> None:
    root = shared_data / "coco_panoptic"
    listed = json.loads((root / "panoptic_examples.json").read_text())["annotations"]
    known = {s["category_id"] for a in listed for s in a["segments_info"]}
    for annotation in listed:
        one = PanopticFile(root / "panoptic_examples" / annotation["file_name"], annotation, known, True)
        agrees(one, one)


def encoded(ids: NDArray[Any], mode: str, **options: Any) -> bytes:
    gray = np.asarray(ids & 255, dtype=np.uint16 if mode == "I;16" else np.uint8)
    image = Image.fromarray(gray) if mode == "I;16" else Image.fromarray(np.stack([gray] * 3, axis=-1)).convert(mode)
    stream = io.BytesIO()
    image.save(stream, "PNG", **options)
    return stream.getvalue()


def write_pair(root: Path, pngs: dict[str, bytes], ids: NDArray[Any], predicted: NDArray[Any]) -> None:
    categories = [{"id": c.id, "name": c.name, "isthing": int(c.isthing)} for c in SPACE]
    for side, map_ in (("gt", ids), ("pred", predicted)):
        (root / side).mkdir(exist_ok=True)
        (root / side / "a.png").write_bytes(pngs[side])
        annotation = {**file(map_, b"").annotation, "file_name": "a.png"}
        (root / f"{side}.json").write_text(json.dumps({"annotations": [annotation], "categories": categories}))


def outcome(root: Path, out: str) -> tuple[str, bytes]:
    """What was said, and the image lines, of a score of the pair."""
    made = open_coco_predictions(root / "pred.json", root / "pred", "pred")
    try:
        run = score(
            made, load_coco_files(root / "gt.json", root / "gt"), root / out, keep_predictions="none", overwrite=True
        )
    except BenchError as error:
        return re.sub(r" at 0x\w+", "", str(error)), b""
    return "", (run.folder / "images-0-of-1.jsonl").read_bytes()


def both(root: Path, patch: pytest.MonkeyPatch) -> tuple[str, bytes]:
    """The outcome, which must not depend on the kernel."""
    fast = outcome(root, "out")
    with patch.context() as without:
        without.setattr(png_runs, "_join", None)
        assert outcome(root, "out") == fast
    return fast


@pytest.fixture
def pair(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, dict[str, bytes]]:
    """A sound pair in files."""
    monkeypatch.setattr("bench.evaluation.session.provenance", lambda: {"git": None})
    rng = np.random.default_rng(2)
    truth, made = (blocks(rng, 24, 37, 6, 5) for _ in range(2))
    pngs = {"gt": png(truth, (1, 2, 4)), "pred": png(made, (3, 0))}
    write_pair(tmp_path, pngs, truth, made)
    return tmp_path, pngs


def test_lines_are_the_same_bytes(pair: tuple[Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary: list[object] = []
    monkeypatch.setattr("bench.results.predictions.PredictionFolder.read", lambda *_: ordinary.append(1))
    said, lines = outcome(pair[0], "fast")
    assert said == "" and ordinary == []
    monkeypatch.undo()
    monkeypatch.setattr(png_runs, "_join", None)
    monkeypatch.setattr("bench.evaluation.session.provenance", lambda: {"git": None})
    assert outcome(pair[0], "slow") == ("", lines)


@pytest.mark.parametrize(
    ("mode", "options"),
    [("P", {}), ("L", {}), ("LA", {}), ("RGBA", {}), ("I;16", {}), ("1", {}), ("RGB", {"compress_level": 0}),
     ("RGB", {"icc_profile": b"x" * 50}), ("RGB", {"dpi": (72, 72)})],
)  # fmt: skip
def test_other_pngs_have_the_same_outcome(
    mode: str, options: dict[str, Any], pair: tuple[Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = np.full((9, 7), 3 + (3 << 8) + (3 << 16))
    content = encoded(ids, mode, **options)
    sound = encoded(ids, "RGB")
    for pngs in ({"gt": content, "pred": sound}, {"gt": sound, "pred": content}):
        write_pair(pair[0], pngs, ids, ids)
        said, lines = both(pair[0], monkeypatch)
        assert bool(lines) == mode.startswith("RGB")
        assert ("not an RGB PNG" in said) == (not mode.startswith("RGB"))


def spoil(rng: Random, content: bytes, kind: int) -> bytes:
    """Cut short; bits flipped anywhere, in the stream and in what it holds, the latter with good checksums."""
    if kind == 0:
        return content[: rng.randrange(len(content))]
    head, stream = content[:33], content[41:-16]
    part = bytearray((content, stream, zlib.decompress(stream))[kind - 1])
    for _ in range(rng.choice([1, 1, 3])):
        part[rng.randrange(len(part))] ^= 1 << rng.randrange(8)
    if kind == 1:
        return bytes(part)
    return head + chunk(b"IDAT", bytes(part) if kind == 2 else zlib.compress(part)) + chunk(b"IEND", b"")


def test_spoilt_files_have_the_same_outcome(
    pair: tuple[Path, dict[str, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, sound = pair
    rng, refused = Random(0), 0
    for number in range(100):
        side = rng.choice(["gt", "pred"])
        content = spoil(rng, sound[side], number % 4)
        (root / side / "a.png").write_bytes(content)
        refused += bool(both(root, monkeypatch)[0])
        (root / side / "a.png").write_bytes(sound[side])
    assert 40 < refused < 100


def test_rows_of_rubbish_stay_inside() -> None:
    """What a hostile stream may hold once it is inflated: any bytes at all."""
    rng = np.random.default_rng(3)
    assert png_runs._runs is not None
    known = np.arange(1, 40, dtype=np.int32)
    results = []
    for _ in range(300):
        height, width = rng.integers(1, 20, 2).tolist()
        rows = rng.integers(0, rng.choice([2, 5, 256]), height * (3 * width + 1), dtype=np.uint8)
        rows[rng.random(rows.size) < 0.8] = 0
        results.append(png_runs._runs(rows.tobytes(), known, height, width))
    assert {result is None for result in results} == {True, False}
    for height, width in ((0, 1), (1, 0), (-1, -1), (1 << 40, 1 << 40), (2, 2), (1 << 62, 4)):
        assert png_runs._runs(b"\0" * 4, known, height, width) is None
    assert png_runs._runs(b"\0" * 4, b"123", 1, 1) is None
    assert png_runs._runs(b"\0" * 4, b"", 1, 1) == bytes(8)


def test_runs_of_rubbish_stay_inside() -> None:
    rng = np.random.default_rng(4)
    assert png_runs._join is not None
    results = []
    for _ in range(3000):
        runs = [rng.integers(-1, 5, (rng.integers(0, 4), 2)).astype(np.int32) for _ in range(2)]
        for one in runs:
            one[:1, 0] = 0
            one[:, 0].sort()
        table = png_runs._join(*(one.tobytes() for one in runs), *rng.integers(-1, 4, 2).tolist(), 6)
        results.append(table is None)
        assert table is None or np.frombuffer(table, np.int64).reshape(-1, 3)[:, 2].sum() == 6
    assert {*results} == {True, False}
    whole = np.array([0, 0], np.int32).tobytes()
    assert png_runs._join(whole, whole, 0, 0, 1) == np.array([0, 0, 1]).tobytes()
    assert png_runs._join(whole, whole, 0, 0, 1 << 40) is None and png_runs._join(whole, b"", 0, 0, 1) is None


def test_drawn_scenes() -> None:
    for seed in range(120):
        scene = seeded_scene(np.random.default_rng(seed))
        sides = [
            PanopticFile(
                Memory("a.png", png(side.ids, FILTERS[seed % 6])), {"segments_info": side.segments_info}, SPACE.ids
            )
            for side in (scene.truth, scene.prediction)
        ]
        agrees(*sides)
