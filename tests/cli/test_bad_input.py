"""What a user can get wrong: one clear message on stderr, the documented exit code, results so far kept."""

from __future__ import annotations

import errno
import fcntl
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import spoil
from fakes import bench
from place import Answer, Call, Place


@dataclass(frozen=True)
class Case:
    """`says` are pieces of the message; `kept` the images scored before the fault, None where no run began.

    `fault` is one of the user's own model, at the spoilt image.
    """

    name: str
    spoil: spoil.Spoil
    code: int
    says: tuple[str, ...]
    kept: int | None = None
    fault: str = ""


AT = "bonn_000003_000019"
CASES = [
    # the data
    Case("corrupt image", spoil.corrupt_image, 3, (f"{AT}_leftImg8bit.png", "cannot be read", "replace"), 3),
    Case("torn image", spoil.torn_image, 3, (f"{AT}_leftImg8bit.png", "cannot be read", "replace"), 3),
    Case("torn label", spoil.torn_label, 3, (f"{AT}_gtFine_instanceIds.png", "cannot be read", "replace"), 3),
    Case("unknown label", spoil.unknown_label, 3, (f"{AT}_gtFine_instanceIds.png", "value 77", "is not a label"), 3),
    Case("label in colour", spoil.colour_label, 3, (f"{AT}_gtFine_instanceIds.png", "one channel"), 3),
    Case("label of another size", spoil.small_label, 3, (AT, "(16, 64)", "(32, 64)", "replace"), 3),
    Case("missing label", spoil.missing_label, 3, ("gtFine/val", AT, "unpack the annotations again")),
    Case("no data root", spoil.no_data_root, 3, ("--data-root", "CITYSCAPES_DATASET", "leftImg8bit_trainvaltest.zip",
                                                 "gtFine/val/", "--dataset minicity")),
    Case("empty data root", spoil.empty_data_root, 3, ("elsewhere/leftImg8bit/val: no images", "--dataset minicity")),
    Case("unknown image id", spoil.images_file("aachen_000000_000019\nnowhere_1\n"), 3, ("no image 'nowhere_1'",)),
    Case("no image list", spoil.images_file(None), 2, ("--images", "wanted.txt", "cannot be read")),
    Case("empty image list", spoil.images_file("\n"), 2, ("--images", "wanted.txt", "no image")),
    # names and configuration
    Case("wrong model", spoil.run("--model", "mask2fromer"), 2,
         ("no model 'mask2fromer'", "did you mean 'mask2former'")),
    Case("wrong data set", spoil.run("--dataset", "cityscape"), 2, ("'cityscape'", "did you mean 'cityscapes'")),
    Case("wrong split", spoil.run("--dataset", "cityscapes:vla"), 2, ("no split 'vla'", "did you mean 'val'")),
    Case("wrong checkpoint", spoil.run("--model", "mask2former", "--checkpoint", "cityscapes/swin-tyni"), 4,
         ("no checkpoint 'cityscapes/swin-tyni'", "did you mean 'cityscapes/swin-tiny'")),
    Case("wrong preset", spoil.run("--set", "fusion.preset=mask2fromer"), 2,
         ("preset 'mask2fromer'", "did you mean 'mask2former'")),
    Case("wrong YAML path", spoil.run("--model", "nowhere/mine.yaml"), 2, ("nowhere/mine.yaml", "cannot be read")),
    Case("unknown key", spoil.model_text("method:", "methud:"), 2, ("mine.yaml", "'methud'", "did you mean 'method'")),
    Case("unknown inner key", spoil.model_text("shorter:", "short:"), 2, ("mine.yaml", "input", "'short'")),
    Case("wrong type", spoil.model_text("shorter: 32", "shorter: big"), 2, ("mine.yaml", "shorter", "int", "'big'")),
    Case("YAML syntax", spoil.model_text("defaults: {", "defaults: {{"), 2, ("mine.yaml", "not valid YAML", "line")),
    Case("YAML of no keys", spoil.empty_yaml, 2, ("mine.yaml", "mapping of keys")),
    Case("--set without =", spoil.run("--set", "nonsense"), 2, ("--set nonsense", "path.to.key=value")),
    Case("--set of no key", spoil.run("--set", "inputs.shorter=3"), 2, ("'inputs'", "unknown key")),
    Case("--set of no YAML", spoil.run("--set", "title=[1"), 2, ("--set title=[1",)),
    Case("--set below a value", spoil.run("--set", "title.text=x"), 2, ("--set title.text", "'title'")),
    Case("unknown option", spoil.run("--modle", "x"), 2, ("--modle",)),
    Case("limit of 0", spoil.run("--limit", "0"), 2, ("--limit",)),
    Case("batch of 0", spoil.run("--batch-size", "0"), 2, ("--batch-size",)),
    # the checkpoint and the model
    Case("no weights", spoil.checkpoint("config.json"), 4, ("checkpoint: no weights", "model.safetensors")),
    Case("no config", spoil.checkpoint("model.safetensors"), 4, ("checkpoint: no config.json",)),
    Case("no adapter file", spoil.adapter_text(None), 2, ("mine.py: there is no such adapter file",)),
    Case("broken adapter file", spoil.adapter_text("class Bands(:\n"), 4,
         ("mine.py: cannot be imported", "SyntaxError")),
    Case("no adapter class", spoil.adapter_text("class Other: pass\n"), 2, ("mine", "no class 'Bands'", "Other")),
    Case("loading fails", spoil.run(), 4, ("Bands cannot be loaded", "no room for the weights"), None, "load"),
    Case("preprocess fails", spoil.run(), 4, (AT, "failed in preprocess", "ZeroDivisionError"), 3, "preprocess"),
    Case("infer fails", spoil.run(), 4, (AT, "failed in infer", "the network broke"), 3, "infer"),
    Case("out of memory", spoil.run("--batch-size", 2), 5, (AT, "out of memory", "give --batch-size 1"), 2, "memory"),
    Case("no memory for one image", spoil.run(), 5, (AT, "out of memory", "give --precision bf16"), 3, "memory"),
    Case("infer of a batch fails", spoil.run("--batch-size", 2), 4, (AT, "bonn_000003", "failed in infer"), 2, "infer"),
    Case("outputs are missing", spoil.run(), 4, (AT, "0 outputs for 1 images"), 3, "short"),
    Case("postprocess fails", spoil.run(), 4, (AT, "failed in postprocess", "KeyError"), 3, "postprocess"),
    Case("map of a wrong size", spoil.run(), 4, (AT, "(31, 64)", "(32, 64)"), 3, "size"),
    Case("semantic map of a wrong size", spoil.run(), 4, (AT, "semantic", "(31, 64)", "(32, 64)"), 3, "semantic"),
    Case("class of another space", spoil.run(), 4, (AT, "category_id 99"), 3, "category"),
    Case("map without segments", spoil.run(), 4, (AT, "not in segments_info"), 3, "map"),
    Case("least model fails", spoil.least_model, 4, (AT, "failed in infer", "it broke"), 3, "infer"),
    # the results folder
    Case("out is a file", spoil.out_is_a_file, 2, ("results", "name another path")),
    # predictions made elsewhere
    Case("segment without pixels", spoil.extra_segment, 3, (f"{AT}.png", "4000", "do not belong together"), 3),
    Case("pixels without segment", spoil.lost_segment, 3, (f"{AT}.png", "not in segments_info"), 3),
    Case("unknown category", spoil.first_segment(category_id=999), 3, (AT, "category_id 999")),
    Case("category of no number", spoil.first_segment(category_id="road"), 3, (AT, "'road'", "not an integer")),
    Case("repeated segment id", spoil.repeated_segment, 3, (AT, "listed twice")),
    Case("repeated image", spoil.repeated_image, 3, ("predictions.json", AT, "twice")),
    Case("image without prediction", spoil.lost_image, 3,
         ("predictions: 1 of 6 images have no prediction", AT, "--images", "Nothing was scored")),
    Case("missing PNG", spoil.lost_png, 3, (f"{AT}.png", "no such file"), 3),
    Case("PNG outside its folder", spoil.foreign_png, 3, ("secret.png", "leaves the folder")),
    Case("prediction of another size", spoil.large_png, 3, (AT, "(64, 128)", "(32, 64)"), 3),
    Case("grey PNG", spoil.grey_png, 3, (f"{AT}.png", "not an RGB PNG"), 3),
    Case("semantic PNG of another size", spoil.small_semantic, 3, (AT, "(31, 64)", "(32, 64)"), 3),
    Case("broken JSON", spoil.broken_json, 3, ("predictions.json", "not valid JSON")),
    Case("no predictions", spoil.no_predictions, 3, ("none", "no predictions here")),
    Case("half a pair", spoil.half_a_pair, 2, ("--gt with --pred",)),
]  # fmt: skip


def assert_told(answer: Answer, code: int, says: tuple[str, ...]) -> None:
    """One message on stderr that says so, and nothing else anywhere."""
    assert answer.code == code, answer.err
    assert answer.out == ""
    missing = [piece for piece in says if piece not in answer.err]
    assert not missing, answer.err
    assert "Traceback" not in answer.err
    assert "unexpected" not in answer.err
    assert answer.err.count("bench: ") == (0 if answer.err.startswith("Usage") else 1)


def assert_kept(place: Place, kept: int | None, err: str) -> None:
    """The images before the fault are there, whole, and the message counts them."""
    runs = list(place.out.glob("*/*/*")) if place.out.is_dir() else []
    if kept is None:
        assert runs == []
        return
    assert not (place.run / "done.json").exists()
    lines = (place.run / "images-0-of-1.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["image_id"] for line in lines] == list(place.images[:kept])
    assert f"{kept} of {len(place.images)} images are scored and kept" in err
    assert "the same command resumes" in err


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_bad_input(case: Case, place: Place, scored: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(scored / "predictions", place.folder / "predictions")
    if case.fault:
        monkeypatch.setenv("FAKE_FAULT", case.fault if case.fault == "load" else f"{AT}={case.fault}")
    answer = call(*case.spoil(place))
    assert_told(answer, case.code, case.says)
    assert_kept(place, case.kept, answer.err)


def test_the_same_commands_pass_unspoilt(place: Place, scored: Path, call: Call) -> None:
    """Else the table would prove little."""
    shutil.copytree(scored / "predictions", place.folder / "predictions")
    for arguments in (place.arguments(), spoil.good_predictions(place), spoil.least_model(place)):
        answer = call(*arguments)
        assert (answer.code, "run: " in answer.err) == (0, True) or arguments[0] == "score", answer.err
        assert "PQ" in answer.out


def test_a_mended_fault_resumes_to_the_same_result(place: Place, scored: Path, call: Call) -> None:
    file = spoil.image_file(place.data, AT)
    good = file.read_bytes()
    assert call(*spoil.corrupt_image(place)).code == 3
    file.write_bytes(good)
    assert call(*place.arguments()).code == 0
    for name in ("images-0-of-1.jsonl", "predictions/predictions.json"):
        assert (place.run / name).read_bytes() == (scored / name).read_bytes()


def test_ctrl_c_keeps_what_was_scored(place: Place, scored: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FAULT", f"{AT}=interrupt")
    answer = call(*place.arguments())
    assert_told(answer, 130, ("interrupted", "the same command resumes"))
    assert len((place.run / "images-0-of-1.jsonl").read_text().splitlines()) == 3
    monkeypatch.delenv("FAKE_FAULT")
    assert call(*place.arguments()).code == 0
    assert (place.run / "images-0-of-1.jsonl").read_bytes() == (scored / "images-0-of-1.jsonl").read_bytes()


class Full:
    """A stream on a disk that is full after `room` writes."""

    def __init__(self, stream: Any, room: int) -> None:
        self.stream, self.room = stream, room

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def __enter__(self) -> Full:
        return self

    def __exit__(self, *error: object) -> None:
        self.stream.close()

    def write(self, text: str) -> int:
        self.room -= 1
        if self.room < 0:
            self.stream.write(text[: len(text) // 2])
            self.stream.flush()
            raise OSError(errno.ENOSPC, "No space left on device")
        return int(self.stream.write(text))


@pytest.mark.parametrize(
    ("file", "room", "kept"),
    [("images-0-of-1.jsonl", 2, 2), ("timings-0-of-1.jsonl", 3, 3), ("annotations.jsonl", 4, None)],
)
def test_a_full_disk_keeps_what_was_scored(
    place: Place, scored: Path, call: Call, monkeypatch: pytest.MonkeyPatch, file: str, room: int, kept: int | None
) -> None:
    from bench.results import prediction_writer, writer

    real = writer.open_append

    def full(path: Path) -> Any:
        return Full(real(path), room) if path.name == file else real(path)

    with monkeypatch.context() as patch:
        patch.setattr(writer, "open_append", full)
        patch.setattr(prediction_writer, "open_append", full)
        answer = call(*place.arguments())
    assert_told(answer, 5, ("results", "No space left on device", "make room", "images are scored and kept"))
    if kept is not None:
        assert f"{kept} of 6" in answer.err
    assert call(*place.arguments()).code == 0
    for name in ("images-0-of-1.jsonl", "predictions/predictions.json"):
        assert (place.run / name).read_bytes() == (scored / name).read_bytes()


def test_a_full_disk_at_the_end_leaves_no_half_result(
    place: Place, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.write_text

    def full(path: Path, *text: Any, **how: Any) -> int:
        if "done.json" in path.name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        return real(path, *text, **how)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", full)
        answer = call(*place.arguments())
    assert_told(answer, 5, ("done.json", "No space left on device", "6 of 6 images are scored and kept"))
    assert_told(call("show", place.run), 5, ("is not complete", "repeat its command"))
    assert call(*place.arguments()).code == 0


def test_a_read_only_results_folder(place: Place, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Path.mkdir

    def refuse(path: Path, *how: Any, **more: Any) -> None:
        if place.out in path.parents:
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        real(path, *how, **more)

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert_told(call(*place.arguments()), 2, ("results/cityscapes-val/mine", "Permission denied", "name another path"))


def test_a_second_writer_is_refused(place: Place, call: Call) -> None:
    assert call(*place.arguments()).code == 0
    before = (place.run / "images-0-of-1.jsonl").read_bytes()
    with (place.run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        answer = call(*place.arguments("--overwrite"))
    assert_told(answer, 5, (str(place.run), "another process"))
    assert (place.run / "images-0-of-1.jsonl").read_bytes() == before
    assert (place.run / "done.json").exists()


def test_again_of_a_model_that_fails_to_load_keeps_the_old_result(
    place: Place, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(*place.arguments()).code == 0
    monkeypatch.setenv("FAKE_FAULT", "load")
    assert call(*place.arguments("--overwrite")).code == 4
    assert (place.run / "done.json").exists()


@pytest.mark.parametrize("line", [b'{"image_id": "a", \n', b"5\n", b"\xff\xfe\n", b"[]\n"])
def test_a_broken_stored_line_is_named(place: Place, call: Call, line: bytes) -> None:
    assert call(*place.arguments()).code == 0
    file = place.run / "images-0-of-1.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join([lines[0], line, *lines[2:]]))
    (place.run / "done.json").unlink()
    assert_told(call(*place.arguments()), 3, ("images-0-of-1.jsonl", "line 2 is broken", "--overwrite"))
    assert call(*place.arguments("--overwrite")).code == 0
    assert file.read_bytes() == b"".join(lines)


def test_folders_without_a_run(place: Place, call: Call) -> None:
    assert_told(call("show", place.folder), 3, (str(place.folder), "no run here", "bench leaderboard"))
    assert_told(call("show", place.folder / "none"), 3, ("none", "no run here"))
    assert_told(call("report", place.folder), 3, ("no run here",))


def test_a_broken_run_file(place: Place, call: Call) -> None:
    assert call(*place.arguments()).code == 0
    for name, text, says in (("run.json", "{", "cannot be read"), ("run.json", '{"format": 99}', "version")):
        (place.run / name).write_text(text, encoding="utf-8")
        assert_told(call("show", place.run), 3, (name, says))


def test_a_leaderboard_that_cannot_be_written(place: Place, call: Call) -> None:
    text = place.folder / "board.md"
    text.write_text("My own words.\n", encoding="utf-8")
    refused = call("leaderboard", "--results", place.out, "--write", text)
    assert_told(refused, 3, ("board.md", "add the lines"))
    assert text.read_text(encoding="utf-8") == "My own words.\n"
    below = call("leaderboard", "--results", place.out, "--write", text / "board.md")
    assert_told(below, 2, ("board.md", "name another path"))


def test_an_unforeseen_error_is_one_line_and_asks_for_a_report(
    place: Place, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any, **more: Any) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr("bench.evaluation.run.run", broken)
    answer = call(*place.arguments())
    assert (answer.code, answer.out) == (1, "")
    assert answer.err.startswith("bench: unexpected ZeroDivisionError: division by zero (BENCH_DEBUG=1")
    assert "Traceback" not in answer.err


def test_debug_shows_the_traceback(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    with bench(*place.arguments(), BENCH_DEBUG="1", FAKE_FAULT=f"{AT}=postprocess") as process:
        out, err = process.communicate(timeout=120)
    assert out == ""
    assert "Traceback" in err
    assert 'raise KeyError("logits")' in err


@pytest.mark.parametrize(
    ("spoilt", "fault", "code"),
    [
        (spoil.corrupt_image, "", 3),
        (spoil.run(), f"{AT}=infer", 4),
        (spoil.run(), f"{AT}=interrupt", 130),
        (spoil.run("--model", "nothing"), "", 2),
    ],
)
def test_a_process_of_its_own_says_the_same(place: Place, spoilt: spoil.Spoil, fault: str, code: int) -> None:
    with bench(*spoilt(place), FAKE_FAULT=fault) as process:
        out, err = process.communicate(timeout=120)
    assert_told(Answer(process.returncode, out, err), code, ("bench: ",))
