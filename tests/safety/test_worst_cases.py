"""The worst that files can hold, by hand: each is refused at its door by one message with the file and the remedy."""

from __future__ import annotations

import resource
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from by_hand import (
    ALIASES,
    BOMB,
    DEEP,
    Spoil,
    dense_png,
    encrypted,
    holding,
    hollow_png,
    line,
    link,
    linked_member,
    linked_out,
    members,
    pipe,
    replacing,
    setting,
    sparse,
    without,
    zip_of,
    zip_with,
)
from doors import DOORS, Door
from evil import nested
from sound import PNGS, write

from bench.errors import BenchError

DOOR = {door.name: door for door in DOORS}
GROWTH_MB = 250  # of all cases together; a single bomb has gigabytes


@dataclass(frozen=True)
class Case:
    """`file` is spoilt by `spoil`, which gets its path; `says` are pieces of the message beside its name."""

    name: str
    door: str
    file: str
    spoil: Spoil
    says: tuple[str, ...]
    code: int = 3


SCORE, CHECK, TREE, ZIPS, CITY = "score --gt --pred", "data check --gt", "COCO tree", "COCO zips", "Cityscapes tree"
IKA, LABELS, DATA, MODEL, RECIPE = "ika", "label YAML", "COCO data set YAML", "model YAML", "recipe YAML"
RUN, HALF = "run of predictions", "resumed run"
FIRST = ("annotations", 0, "segments_info", 0)
OVERLAP = "run/images-0-of-1.jsonl"


PICTURES = [
    Case("declares gigapixels", SCORE, "gt/a.png", holding(hollow_png(1 << 30, 1 << 30)),
         ("more than", "--max-pixels")),
    Case("declares 80 megapixels", SCORE, "pred/a.png", holding(hollow_png(10_000, 8_000)), ("cannot hold", "replace")),
    Case("holds over the limit", SCORE, "pred/semantic/a.png", holding(dense_png()), ("9500 x 9500", "more than")),
    Case("a bomb as label", CITY, "gtFine/val/bonn/bonn_000001_000019_gtFine_instanceIds.png",
         holding(hollow_png(60_000, 60_000)), ("more than", "--max-pixels")),
    Case("a bomb as picture", IKA, "input/a.png", holding(hollow_png(60_000, 60_000)), ("more than", "--max-pixels")),
    Case("a bomb as colours", IKA, "label/a_gtFine_labelColor.png", holding(dense_png()),
         ("more than", "--max-pixels")),
    Case("PostScript, which Pillow would run", TREE, "jpg/a.jpg",
         holding(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n"), ("as an image", "replace")),
    Case("a pipe", SCORE, "gt/a.png", pipe, ("not a regular file", "replace")),
    Case("a device without end", TREE, "jpg/a.jpg", link("/dev/zero"), ("jpg",)),
    Case("two gigabytes", IKA, "input/a.png", sparse, ("2147483648 bytes", "replace")),
    Case("a link to itself", SCORE, "gt/a.png", link("a.png"), ("symbolic links", "replace")),
    Case("a link to nothing", SCORE, "gt/a.png", link("nothing.png"), ("no such file",)),
    Case("an empty file", SCORE, "gt/a.png", holding(b""), ("none of PNG", "replace")),
]  # fmt: skip
JSONS = [
    Case("nested too deeply", SCORE, "gt.json", holding(DEEP), ("nested too deeply", "download it again")),
    Case("objects nested too deeply", SCORE, "pred.json", holding(b'{"a":' * 100_000), ("nested too deeply",)),
    Case("no UTF-8", SCORE, "gt.json", holding(b'{"annotations": "\xff"}'), ("utf-8",)),
    Case("UTF-16", SCORE, "gt.json", holding("{}".encode("utf-16")), ("UTF-16", "save it as UTF-8")),
    Case("a key twice", SCORE, "gt.json", replacing('"image_id": "a"', '"image_id": "a", "image_id": "b"'),
         ("'image_id' twice",)),
    Case("NaN", SCORE, "pred.json", setting(*FIRST, "score", to=float("nan")), ("NaN",)),
    Case("Infinity", SCORE, "gt.json", setting(*FIRST, "area", to=float("inf")), ("Infinity",)),
    Case("a number beyond all floats", SCORE, "pred.json", replacing('"score": 0.5', '"score": 1e999'), ("1e999",)),
    Case("a score beyond reason", SCORE, "pred.json", setting(*FIRST, "score", to=10**400), ("score", "leave it out")),
    Case("an area beyond reason", SCORE, "gt.json", setting(*FIRST, "area", to=10**400), ("`area`", "leave it out")),
    Case("an id beyond 24 bits", SCORE, "gt.json", setting(*FIRST, "id", to=1 << 40), ("24 bits",)),
    Case("a number of 5,000 digits", SCORE, "gt.json", replacing('"area": ', '"area": ' + "9" * 5000),
         ("not valid JSON",)),
    Case("a category id as long as a table", SCORE, "gt.json", setting("categories", 0, "id", to=1 << 40),
         ("not in 0..65535", "renumber")),
    Case("categories by the thousand", SCORE, "gt.json",
         setting("categories", to=[{"id": i, "name": str(i), "isthing": 0} for i in range(5000)]), ("more than 4096",)),
    Case("half a character", SCORE, "gt.json", setting("annotations", 0, "image_id", to="\ud800"),
         ("half a character",)),
    Case("an image id of a megabyte", SCORE, "gt.json", setting("annotations", 0, "image_id", to="x" * 1_000_000),
         ("1000000 characters", "shorten")),
    *(Case(f"called {name[:20]!r}", SCORE, "gt.json", setting("annotations", 0, "file_name", to=name), ("file_name",))
      for name in ("../gt/a.png", "/etc/passwd", "C:\\a.png", "..\\a.png", "a\0.png", "", "x" * 300, "a/" * 600)),
    Case("a picture's ../", TREE, "gt.json", setting("images", 0, "file_name", to="../a.jpg"), ("leaves the folder",)),
    Case("annotations are no list", SCORE, "pred.json", setting("annotations", to={"a": 1}),
         ("no list `annotations`",)),
    Case("a segment is no object", SCORE, "pred.json", setting(*FIRST, to=nested(90)), ("not an object",)),
    Case("a pipe", SCORE, "gt.json", pipe, ("not a regular file", "name another")),
    Case("a device without end", SCORE, "gt.json", link("/dev/zero"), ("not a regular file",)),
    Case("two gigabytes", SCORE, "gt.json", sparse, ("2147483648 bytes",)),
]  # fmt: skip
ZIP_FILES = [
    Case("a zip bomb", ZIPS, "all.zip", lambda path: zip_of(members(path) | {"gt.json": BOMB})(path),
         ("gt.json", "zip bomb", "unpack it")),
    Case("a bomb in an archive in an archive", ZIPS, "all.zip",
         lambda path: zip_of(members(path) | {"png.zip": BOMB})(path), ("png.zip", "zip bomb")),
    Case("../ as a name", ZIPS, "all.zip", zip_with("../../x.png", b"x"), ("'../../x.png'", "leaves the archive")),
    Case("an absolute name", ZIPS, "jpg.zip", zip_with("/etc/passwd", b"x"), ("/etc/passwd", "leaves the archive")),
    Case("a name twice", ZIPS, "jpg.zip", zip_with("a.jpg", b"x"), ("'a.jpg' twice", "pack the archive again")),
    Case("a link in the archive", ZIPS, "jpg.zip",
         linked_member,
         ("a.jpg", "is a link", "pack the file itself")),
    Case("a method that asks for memory", ZIPS, "jpg.zip",
         lambda path: zip_of(members(path), zipfile.ZIP_LZMA)(path),
         ("method 14", "deflated")),
    Case("an encrypted archive", ZIPS, "all.zip", encrypted, ("encrypted", "download the archive again")),
    Case("no zip", ZIPS, "all.zip", holding(b"PK\5\6" + bytes(4)), ("all.zip", "download the archive again")),
    Case("an archive of nothing", ZIPS, "all.zip", zip_of({}), ("no JSON",)),
    Case("a pipe", ZIPS, "all.zip", pipe, ("all.zip", "not a regular file")),
]  # fmt: skip
YAMLS = [
    Case("aliases of aliases", DATA, "tiny.yaml", holding(ALIASES.encode()), ("aliases", "write it out"), 2),
    Case("an alias of itself", DATA, "tiny.yaml", replacing("splits: [val]", "splits: &a [*a]"), ("aliases",), 2),
    Case("nested too deeply", LABELS, "ika-12.yaml", holding(b"a: " + DEEP[:5000]), ("not valid YAML",), 2),
    Case("a key twice", MODEL, "mine.yaml", replacing("method: one-shot", "method: one-shot\nmethod: cascade"),
         ("key is here twice", "line"), 2),
    Case("code", DATA, "tiny.yaml", replacing("obtain: nowhere", "obtain: !!python/object/apply:os.getcwd []"),
         ("not valid YAML", "python"), 2),
    Case("no UTF-8", RECIPE, "recipe.yaml", holding(b"\xff\xfe\x00"), ("cannot be read", "correct the file"), 2),
    Case("not a number", RECIPE, "recipe.yaml", replacing("lr: 0.0007", "lr: .nan"), ("lr", "out of range"), 2),
    Case("infinity", RECIPE, "recipe.yaml", replacing("minutes: 92", "minutes: .inf"), ("minutes", "out of range"), 2),
    Case("a number beyond all floats", RECIPE, "recipe.yaml", replacing("minutes: 92", f"minutes: {'9' * 60}"),
         ("minutes", "out of range"), 2),
    Case("a number of 5,000 digits", RECIPE, "recipe.yaml", replacing("seed: 0", f"seed: {'9' * 5000}"),
         ("64 digits", "line"), 2),
    Case("a number in base 60", RECIPE, "recipe.yaml", replacing("seed: 0", f"seed: 1{':1' * 50_000}"), ("digits",), 2),
    Case("a tag that does not fit", MODEL, "mine.yaml", replacing("method: one-shot", "method: !!int x"),
         ("not valid",), 2),
    Case("a date that is none", MODEL, "mine.yaml", replacing("method: one-shot", "method: 2001-99-99"),
         ("not valid",), 2),
    Case("a key that is a list", DATA, "tiny.yaml", replacing("obtain: nowhere", "? [a]\n: b"), ("not valid YAML",), 2),
    Case("a list for a name", DATA, "tiny.yaml", replacing("labels: from-file", "labels: [a]"),
         ("labels", "expected keys"), 2),
    Case("a NUL in a path", DATA, "tiny.yaml", replacing("gt.json, all", '"gt\\0.json", all'), ("character",), 2),
    Case("half a character", DATA, "tiny.yaml", replacing("title: tiny", 'title: "\\uD800"'),
         ("tiny.yaml", "character"), 2),
    Case("a split that leaves results/", DATA, "tiny.yaml", replacing("splits: [val]", "splits: [val, ../../x]"),
         ("'../../x'", "letters"), 2),
    Case("a megabyte", LABELS, "ika-12.yaml", holding(b"# " + b"x" * (1 << 20)), ("1048578 bytes", "correct"), 2),
    Case("a pipe", RECIPE, "recipe.yaml", pipe, ("not a regular file", "name another"), 2),
    Case("a colour that is none", LABELS, "ika-12.yaml", replacing("[128, 64, 128]", "[128, 64, 1280]"),
         ("0..255",), 2),
    Case("a category id as long as a table", LABELS, "ika-12.yaml", replacing("{id: 0,", "{id: 999999999,"),
         ("renumber",), 2),
    Case("no categories", LABELS, "ika-12.yaml", holding(b"categories: []\n"), ("at least one category",), 2),
    Case("a label space of no name", MODEL, "mine.yaml", replacing("categories: cityscapes-19", "categories: nowhere"),
         ("'nowhere'", "known: cityscapes-19"), 2),
    Case("a divisor of a gigapixel", MODEL, "mine.yaml", replacing("divisor: 64", "divisor: 1000000000"), ("4096",), 2),
    Case("no checkpoints", MODEL, "mine.yaml", lambda path: path.write_text(
        path.read_text().partition("checkpoints:")[0].replace("minicity: minicity/tiny", "") + "checkpoints: {}\n")
        and None, ("no checkpoint",), 4),
    Case("no phases", RECIPE, "recipe.yaml", lambda path: path.write_text(
        "".join(text for text in path.read_text().splitlines(True) if "until" not in text).replace(
            "phases:  ", "phases: []  ")) and None, ("phases",), 2),
]  # fmt: skip
RUNS = [
    Case("no name", RUN, "run/run.json", without("name"), ("'name' is missing", "--overwrite")),
    Case("no split", RUN, "run/run.json", without("dataset", "split"), ("dataset", "'split'", "--overwrite")),
    Case("a data set that is a list", RUN, "run/run.json", setting("dataset", to=[]),
         ("dataset: expected keys, found []", "--overwrite")),
    Case("categories of no colour", RUN, "run/run.json", setting("dataset", "categories", 0, "color", to="red"),
         ("dataset: categories[0]: color", "a list")),
    Case("a model of no input", "run of a model", "run/run.json", without("model", "input"),
         ("model: the key 'input'",)),
    Case("a commit that is none", RUN, "run/run.json", setting("provenance", to={"git": 7}), ("provenance: git",)),
    Case("nested too deeply", RUN, "run/run.json", holding(DEEP), ("nested too deeply", "--overwrite")),
    Case("a pipe", RUN, "run/run.json", pipe, ("not a regular file", "--overwrite")),
    Case("no score", RUN, "run/done.json", without("score"), ("'score' is missing", "--overwrite")),
    Case("no quality", RUN, "run/done.json", without("score", "PQ", "things", "RQ"),
         ("score: PQ: things: the key 'RQ'",)),
    Case("a quality that is a word", RUN, "run/done.json", setting("score", "PQ", "all", "PQ", to="high"),
         ("score: PQ: all: PQ: expected float, found 'high'",)),
    Case("NaN", RUN, "run/done.json", setting("score", "mIoU", "panoptic", to=float("nan")), ("NaN", "--overwrite")),
    Case("a class that is null", RUN, "run/done.json", setting("score", "per_class", 0, to=None), ("per_class[0]",)),
    Case("no key", RUN, "run/done.json", without("key"), ("the key 'key' is missing", "--overwrite")),
    Case("a pipe for totals", RUN, "run/done.json", pipe, ("not a regular file", "--overwrite")),
    Case("a pair of no segment", RUN, OVERLAP, line("overlap", "pairs", 0, to=[99, 0, 1]), ("not listed", "again")),
    Case("an area of nothing", RUN, OVERLAP, line("overlap", "predicted", 0, 2, to=0), ("not the areas", "again")),
    Case("a declared area of nothing", RUN, OVERLAP, line("overlap", "truth", 0, 3, to=0), ("declared area", "again")),
    Case("rules that are a word", RUN, "run/run.json", setting("rules", to="x"),
         ("rules: expected keys, found 'x'", "--overwrite")),
    Case("totals of no lines", RUN, "run/done.json", without("images_sha256"), ("images_sha256", "--overwrite")),
    Case("pixels below zero", RUN, OVERLAP, line("overlap", "pairs", 0, 2, to=-5), ("a count", "again")),
    Case("an area beyond reason", RUN, OVERLAP, line("overlap", "truth", 0, 2, to=10**400), ("a count", "again")),
    Case("a class of another space", RUN, OVERLAP, line("overlap", "truth", 0, 1, to=77), ("category 77",)),
    Case("a confusion of no class", RUN, OVERLAP, line("semantic", to=[[0, 99, 5]]), ("confusion", "again")),
    Case("a confusion of words", RUN, OVERLAP, line("semantic", to=[["0", "1", "2"]]), ("confusion", "again")),
    Case("a line that is a list", RUN, OVERLAP, holding(b"[]\n"), ("line 1 is broken", "--overwrite")),
    Case("a line nested too deeply", RUN, OVERLAP, holding(DEEP + b"\n"), ("line 1", "nested too", "--overwrite")),
    Case("a key twice", RUN, OVERLAP, replacing('{"group"', '{"group":"x","group"'), ("'group' twice", "--overwrite")),
    Case("lines that are a link", HALF, OVERLAP, linked_out, ("is a link", "--overwrite")),
    Case("an image that the data have not", HALF, OVERLAP, line("image_id", to="c"), ("'c'", "--overwrite")),
    Case("another image in place of one", HALF, OVERLAP, holding(b'{"image_id": 7}\n'), ("line 1 is broken",)),
]  # fmt: skip
CASES = [*PICTURES, *JSONS, *ZIP_FILES, *YAMLS, *RUNS]


@pytest.fixture(scope="module", autouse=True)
def bounded_memory() -> Iterator[None]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024 < GROWTH_MB


@pytest.fixture(autouse=True)
def no_questions_to_git(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.evaluation.session.provenance", lambda: {"git": None})


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.door}: {case.name}")
def test_the_worst_is_refused(case: Case, tmp_path: Path) -> None:
    root = write(tmp_path / "root", DOOR[case.door].files())
    case.spoil(root / case.file)
    with pytest.raises(BenchError) as told:
        DOOR[case.door].enter(root)
    said = str(told.value)
    assert told.value.exit_code == case.code, said
    named = Path(case.file).name in said or case.file.partition("/")[0] in said or str(root) in said
    assert named, said
    assert [piece for piece in case.says if piece not in said] == [], said
    assert len(said) < 2000


@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.name)
def test_sound_files_are_read(door: Door, tmp_path: Path) -> None:
    """Else the table would prove little."""
    door.enter(write(tmp_path / "root", door.files()))


@pytest.mark.parametrize(
    ("door", "name", "spoil"),
    [
        ("bench score", "gt.json", holding(DEEP)),
        ("bench score", "pred/a.png", holding(hollow_png(1 << 30, 1 << 30))),
        ("bench data check", "tiny.yaml", holding(ALIASES.encode())),
        ("bench data check", "gt/a.png", pipe),
        ("bench show, leaderboard", "run/done.json", setting("score", "PQ", to=[])),
    ],
)
def test_the_command_line_says_the_same(door: str, name: str, spoil: Spoil, tmp_path: Path) -> None:
    root = write(tmp_path / "root", DOOR[door].files())
    spoil(root / name)
    with pytest.raises(BenchError) as told:
        DOOR[door].enter(root)
    assert Path(name).name in str(told.value)


def test_a_check_finds_what_a_score_refuses(tmp_path: Path) -> None:
    """Broken pictures are findings of `bench data check`, and the images after them are checked."""
    from bench.datasets.check.check import check_files

    root = write(tmp_path, DOOR[CHECK].files())
    holding(b"")(root / "gt/a.png")
    found = check_files(root / "gt.json", root / "gt")
    assert [finding.image_id for finding in found.findings if finding.fault == "png-unreadable"] == ["a"]
    assert found.images == len(PNGS)


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.io.files.MAX_LINE", 1000)
    root = write(tmp_path, DOOR[RUN].files())
    (root / OVERLAP).write_bytes(b"x" * 5000)
    with pytest.raises(BenchError, match="more than 1000 bytes"):
        DOOR[RUN].enter(root)
