"""A run is what it was computed from: one input changes at a time, and the second start is new or the same."""

from __future__ import annotations

import json
import os
import py_compile
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from fakes import LABELS, bench, image_file, label_file
from PIL import Image
from place import Call, Place

from bench.datasets.registry import load_dataset
from bench.evaluation import versions
from bench.evaluation.run import run

MODEL = """\
title: Bands of the red channel, shifted by what its files say
adapter: ./mine.py:Shifted
method: one-shot
fusion: {preset: mask2former}
defaults: {cityscapes: plain}
reads: [notes/shift.txt]
checkpoints:
  plain: {path: weights, categories: ./labels.yaml, input: {shorter: 32, longer: 64}}
"""
ADAPTER = """

from helper import RED

class Shifted(Bands):
    def postprocess(self, output, size):
        from tools.inner import SHIFT
        image_id, index, shift = output
        return super().postprocess((image_id, (index + RED) % 19, shift + SHIFT), size)

class Other(Shifted):
    pass
"""
MAP = "source: {labels}\ntarget: cityscapes-19\nmap: {{{names}}}\n"


@dataclass
class World:
    """A run that can be asked for again: what its command has beside the model, the data and where results go."""

    place: Place
    options: list[str] = field(default_factory=list)
    data: Path = Path()

    @property
    def command(self) -> list[object]:
        place = self.place
        return ["run", "--model", place.model, "--dataset", "cityscapes", "--data-root", self.data, "--out", place.out,
                "--limit", "2", "--json", "--label-map", place.folder / "map.yaml", *self.options]  # fmt: skip


@pytest.fixture
def world(place: Place) -> World:
    folder = place.folder
    place.model.write_text(MODEL.replace("./labels.yaml", str(folder / "labels.yaml")), encoding="utf-8")
    with (folder / "mine.py").open("a", encoding="utf-8") as file:
        file.write(ADAPTER)
    for name, text in {
        "helper.py": "RED = 0\n", "tools/__init__.py": "", "tools/inner.py": "from .deep import SHIFT\n",
        "tools/deep.py": "SHIFT = 0\n", "notes/shift.txt": "0\n",
        "weights/config.json": "{}\n", "weights/deep/er/w.pt": "1\n", "weights/w.onnx": "2\n",
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    from bench.datasets.label_spaces import load_space

    space = load_space("cityscapes-19")
    listed = [{"id": c.id, "name": c.name, "isthing": c.isthing, "color": list(c.color)} for c in space.categories]
    (folder / "labels.yaml").write_text(json.dumps({"categories": listed}), encoding="utf-8")
    names = ", ".join(f"{c.name}: {c.name}" for c in space.categories)
    (folder / "map.yaml").write_text(MAP.format(labels=folder / "labels.yaml", names=names), encoding="utf-8")
    return World(place, data=place.data)


def writes(name: str, text: str) -> Callable[[World], None]:
    return lambda world: _write(world.place.folder / name, text)


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def replaces(name: str, old: str, new: str) -> Callable[[World], None]:
    def change(world: World) -> None:
        file = world.place.folder / name
        text = file.read_text("utf-8")
        assert old in text
        file.write_text(text.replace(old, new, 1), encoding="utf-8")

    return change


def asks(*options: str) -> Callable[[World], None]:
    return lambda world: world.options.extend(options)


def other_pixels(file_of: Callable[[Path, str], Path], value: int) -> Callable[[World], None]:
    def change(world: World) -> None:
        file = file_of(world.data, world.place.images[0])
        pixels = np.array(Image.open(file))
        pixels[:4] = value
        Image.fromarray(pixels).save(file)

    return change


def other_city(world: World) -> None:
    """The first city under another name: groups, by which intervals may be drawn, change."""
    for kind in ("leftImg8bit", "gtFine"):
        (world.data / kind / "val" / "aachen").rename(world.data / kind / "val" / "aalen")


def moved_data(world: World) -> None:
    world.data = world.data.rename(world.place.folder / "elsewhere")


def linked_data(world: World) -> None:
    real = world.data.rename(world.place.folder / "real")
    world.data.symlink_to(real, target_is_directory=True)


def touched(world: World) -> None:
    for path in (
        *world.data.rglob("*.png"),
        *(world.place.folder / "weights").rglob("*"),
        world.place.folder / "mine.py",
    ):
        os.utime(path, (1e9, 1e9))


def copied_weights(world: World) -> None:
    """The same files, other inodes, another folder."""
    shutil.copytree(world.place.folder / "weights", world.place.folder / "copied")
    replaces("mine.yaml", "path: weights", "path: copied")(world)


def results_among_weights(world: World) -> None:
    _write(world.place.folder / "weights" / "old" / "run.json", "{}")
    _write(world.place.folder / "weights" / "old" / "images-0-of-1.jsonl", "\n")


NEW: dict[str, Callable[[World], None]] = {
    "truth": other_pixels(label_file, 22),
    "picture": other_pixels(image_file, 7),
    "groups": other_city,
    "weights in a sub-folder": writes("weights/deep/er/w.pt", "3\n"),
    "weights of another suffix": writes("weights/w.onnx", "3\n"),
    "a file more among the weights": writes("weights/deep/more.npz", "3\n"),
    "the adapter": replaces("mine.py", "% 5", "% 4"),
    "a module beside the adapter": writes("helper.py", "RED = 1\n"),
    "a module that a function imports": writes("tools/deep.py", "SHIFT = 9\n"),
    "an __init__.py": writes("tools/__init__.py", "import sys\n"),
    "a file that the adapter reads": writes("notes/shift.txt", "1\n"),
    "another class of the adapter's file": replaces("mine.yaml", "mine.py:Shifted", "mine.py:Other"),
    "the label map": replaces("map.yaml", "wall: wall", "wall: fence"),
    "the model's label table": replaces("labels.yaml", '"isthing": false', '"isthing": true'),
    "thresholds": asks("--set", "fusion.score_threshold=0.3"),
    "input size": asks("--set", "checkpoints.plain.input.longer=96"),
    "precision": asks("--precision", "bf16"),
    "batch size": asks("--batch-size", "2"),
    "kind of device": asks("--device", "mps"),
    "protocol": asks("--protocol", "strict"),
    "metrics": asks("--metrics", "boundary"),
    "fewer images": asks("--limit", "1"),
}
SAME: dict[str, Callable[[World], None]] = {
    "nothing": lambda world: None,
    "workers": asks("--workers", "3"),
    "auto batch size, of one image on the CPU": asks("--batch-size", "auto"),
    "a number of the same kind of device": lambda world: None,
    "data moved": moved_data,
    "data behind a link": linked_data,
    "files touched": touched,
    "weights copied": copied_weights,
    "a hidden file among the weights": writes("weights/.DS_Store", "x"),
    "compiled files": writes("weights/__pycache__/x.pyc", "x"),
    "results among the weights": results_among_weights,
    "the model's title": replaces("mine.yaml", "title: Bands", "title: Stripes"),
    "a module that nobody imports": writes("unused.py", "X = 1\n"),
    "predictions not kept": asks("--no-save-predictions"),
    "the former name of an option": asks("--no-again"),
}


def reused(call: Call, world: World) -> bool:
    answer = call(*world.command)
    assert answer.code == 0, answer.err
    found: bool = json.loads(answer.out).get("reused", False)
    assert ("shown again" in answer.err) == found
    return found


@pytest.mark.parametrize("change", NEW)
def test_what_moves_a_number_is_another_run(world: World, call: Call, change: str) -> None:
    assert not reused(call, world)
    NEW[change](world)
    assert not reused(call, world)
    assert reused(call, world)


@pytest.mark.parametrize("change", SAME)
def test_what_moves_no_number_is_the_same_run(world: World, call: Call, change: str) -> None:
    assert not reused(call, world)
    SAME[change](world)
    assert reused(call, world)


def test_other_threads_are_the_same_run(world: World) -> None:
    for threads, expected in (("1", False), ("2", True)):
        with bench(*world.command, OMP_NUM_THREADS=threads) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
        assert json.loads(out).get("reused", False) is expected


def test_an_edited_shipped_file_is_another_run(
    world: World, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not reused(call, world)
    record = json.loads(versions.RECORD.read_text("utf-8"))
    (tmp_path / "versions.json").write_text(json.dumps({**record, "fusion/queries.py": "0" * 16}), "utf-8")
    monkeypatch.setattr(versions, "RECORD", tmp_path / "versions.json")
    assert not reused(call, world)


def test_a_module_by_a_computed_name_makes_a_run_that_is_not_reused(world: World, call: Call) -> None:
    _write(world.place.folder / "hidden.py", "X = 0\n")
    replaces("mine.py", "from helper import RED", "import importlib\nimportlib.import_module('hid' + 'den')\nRED = 0")(
        world
    )
    for _ in range(2):
        answer = call(*world.command)
        assert "reused" not in json.loads(answer.out)
        assert "hidden" in answer.err and "reads:" in answer.err
    replaces("mine.yaml", "reads: [", "reads: [hidden.py, ")(world)
    assert not reused(call, world)
    assert reused(call, world)


def test_the_number_is_that_of_the_code_beside(world: World, call: Call) -> None:
    """In one process, where the helper is in memory, and within a second, at the same size."""
    found = []
    for red in "01":
        writes("helper.py", f"RED = {red}\n")(world)
        found.append(json.loads(call(*world.command).out)["PQ"]["all"]["PQ"])
    assert found[0] > 0.3 > found[1]


def test_a_finished_run_says_when_it_was_made(world: World, call: Call) -> None:
    call(*world.command)
    answer = call(*world.command)
    assert "shown again; --overwrite computes it again" in answer.err
    world.options.append("--overwrite")
    assert not reused(call, world)


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda w: shutil.rmtree(w.place.folder / "weights"), 4, ("no such path", "weights: none")),
        (replaces("mine.yaml", "notes/shift.txt", "notes/none.txt"), 4, ("none.txt", "reads:")),
        (replaces("mine.yaml", "path: weights", "path: weights, files: [w.bin]"), 4, ("w.bin", "files:")),
        (replaces("mine.yaml", "path: weights, ", ""), 2, ("weights: none",)),
    ],
)
def test_what_cannot_be_hashed_is_told(
    world: World, call: Call, change: Callable[[World], None], code: int, words: tuple[str, ...]
) -> None:
    change(world)
    answer = call(*world.command)
    assert answer.code == code
    for word in words:
        assert word in answer.err


def test_a_model_without_weights_says_so(world: World, call: Call) -> None:
    replaces("mine.yaml", "path: weights", "weights: none")(world)
    assert not reused(call, world)
    writes("weights/w.onnx", "3\n")(world)
    assert reused(call, world)


def test_listed_files_are_the_weights(world: World, call: Call) -> None:
    replaces("mine.yaml", "path: weights", "path: weights, files: [w.onnx]")(world)
    assert not reused(call, world)
    writes("weights/deep/er/w.pt", "3\n")(world)
    assert reused(call, world)
    writes("weights/w.onnx", "3\n")(world)
    assert not reused(call, world)


SCORED_NEW = {
    "a prediction": lambda p, made: other_labels(made / f"{p.images[0]}.png"),
    "a semantic map": lambda p, made: other_labels(made / "semantic" / f"{p.images[0]}.png"),
    "the JSON": lambda p, made: (made / "predictions.json").write_text(
        (made / "predictions.json").read_text().replace("\n", "\n ", 1)
    ),
    "the truth": lambda p, made: other_labels(label_file(p.data, p.images[0])),
}
SCORED_SAME = {
    "a picture": lambda p, made: other_labels(image_file(p.data, p.images[0])),
    "nothing": lambda p, made: None,
}


def other_labels(file: Path) -> None:
    """The upper half of a map copied to the lower: every id stays one that is listed."""
    pixels = np.array(Image.open(file))
    pixels[len(pixels) // 2 :] = pixels[: len(pixels) - len(pixels) // 2]
    Image.fromarray(pixels).save(file)


@pytest.mark.parametrize(("change", "expected"), [*((c, False) for c in SCORED_NEW), *((c, True) for c in SCORED_SAME)])
def test_a_score_is_of_its_files(place: Place, scored: Path, call: Call, change: str, expected: bool) -> None:
    made = place.folder / "made"
    shutil.copytree(scored / "predictions", made)
    command = ["score", "--dataset", "cityscapes", "--data-root", place.data, "--predictions", made, "--out", place.out,
               "--limit", "1", "--json"]  # fmt: skip
    first = call(*command)
    assert first.code == 0, first.err
    ({**SCORED_NEW, **SCORED_SAME})[change](place, made)
    again = call(*command)
    assert (again.code == 0 and json.loads(again.out).get("reused", False)) is expected


def test_labels_of_the_fakes_are_those_of_the_space() -> None:
    from bench.datasets.label_spaces import load_space

    assert tuple(load_space("cityscapes-19").evaluated.ids) == LABELS


@pytest.mark.parametrize(("broken_file", "batch", "kept"), [(image_file, 1, 4), (image_file, 2, 4), (label_file, 3, 3)])
def test_a_mended_file_costs_its_batch_alone(
    place: Place, call: Call, broken_file: Callable[[Path, str], Path], batch: int, kept: int
) -> None:
    """The run that broke at the fifth of six images goes on under the name that the mended data give it."""
    file = broken_file(place.data, place.images[-2])
    good = file.read_bytes()
    file.write_bytes(b"no picture")
    command = place.arguments("--batch-size", batch)
    assert call(*command).code == 3
    (broken,) = place.out.glob("cityscapes-val/mine/*")
    first = (broken / "images-0-of-1.jsonl").read_text("utf-8").splitlines()
    assert len(first) == 4
    file.write_bytes(good)
    os.environ["FAKE_FAULT"] = f"{place.images[-2]}=infer"
    try:
        assert call(*command).code == 4  # the lines so far are those that were taken over
    finally:
        del os.environ["FAKE_FAULT"]
    assert place.run.name != broken.name
    lines = (place.run / "images-0-of-1.jsonl").read_text("utf-8").splitlines()
    assert lines == first[:kept]
    assert call(*command).code == 0
    assert not (place.run / "inputs.json").exists()
    whole = (place.run / "images-0-of-1.jsonl").read_bytes()
    call(*command, "--overwrite")
    assert (place.run / "images-0-of-1.jsonl").read_bytes() == whole


def test_other_settings_take_nothing_over(place: Place, call: Call) -> None:
    file = image_file(place.data, place.images[-1])
    good = file.read_bytes()
    file.write_bytes(b"no picture")
    assert call(*place.arguments()).code == 3
    file.write_bytes(good)
    assert call(*place.arguments("--precision", "bf16")).code == 0
    assert len(list(place.out.glob("cityscapes-val/mine/*"))) == 2


def quality(call: Call, world: World) -> float:
    answer = call(*world.command)
    assert answer.code == 0, answer.err
    found: float = json.loads(answer.out)["PQ"]["all"]["PQ"]
    return found


def test_a_compiled_file_of_other_source_is_not_run(world: World, call: Call) -> None:
    """Copies and archives keep times, by which Python takes a compiled file for that of another source."""
    helper = world.place.folder / "helper.py"
    for red in "10":
        helper.write_text(f"RED = {red}\n", encoding="utf-8")
        os.utime(helper, (1.5e9, 1.5e9))
        if red == "1":
            py_compile.compile(str(helper))
    assert quality(call, world) > 0.3


def test_code_that_is_loaded_by_its_path_is_told(world: World, call: Call) -> None:
    _write(world.place.folder / "by_path.py", "X = 0\n")
    loader = (
        "import importlib.util as u\ns = u.spec_from_file_location('z', __file__.replace('mine.py', 'by_path.py'))\n"
        "m = u.module_from_spec(s)\ns.loader.exec_module(m)\nRED = 0"
    )
    replaces("mine.py", "from helper import RED", loader)(world)
    for _ in range(2):
        answer = call(*world.command)
        assert "by_path.py" in answer.err and "reused" not in json.loads(answer.out)


def test_modules_that_swap_their_content_are_another_run(world: World, call: Call) -> None:
    for folder, shift in (("low", 0), ("high", 9)):
        _write(world.place.folder / folder / "__init__.py", "")
        _write(world.place.folder / folder / "scale.py", f"SHIFT = {shift}\n")
    replaces(
        "mine.py", "from helper import RED", "from high.scale import SHIFT as H\nfrom low.scale import SHIFT as RED"
    )(world)
    first = quality(call, world)
    _write(world.place.folder / "low" / "scale.py", "SHIFT = 9\n")
    _write(world.place.folder / "high" / "scale.py", "SHIFT = 0\n")
    assert quality(call, world) < first


def test_adapters_of_one_process_have_their_own_modules(world: World, tmp_path: Path) -> None:
    """Two folders, each with a helper.py; a script's own helper is in memory, and stays there."""
    other = tmp_path / "other"
    shutil.copytree(world.place.folder, other, ignore=shutil.ignore_patterns("data"))
    _write(other / "helper.py", "RED = 1\n")
    data = load_dataset("cityscapes", world.data)
    mine, labels = ModuleType("helper"), str(world.place.folder / "map.yaml")
    mine.__file__, sys.modules["helper"] = str(tmp_path / "helper.py"), mine
    path = list(sys.path)
    try:
        found = [
            run(str(folder / "mine.yaml"), data.limited(count), tmp_path / "out", label_map=labels).score
            for count in (1, 2)
            for folder in (world.place.folder, other)
        ]
        assert sys.modules["helper"] is mine and sys.path == path
    finally:
        del sys.modules["helper"]
    assert [(score.PQ.all.PQ or 0) > 0.3 for score in found] == [True, False, True, False]


def test_data_that_change_under_a_run_do_not_finish_it(
    world: World, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch = "import os\n        os.path.exists(f := os.environ['TOUCHED']) and os.utime(f)\n        index = index"
    replaces("mine.py", "index = index", touch)(world)
    picture = image_file(world.data, world.place.images[1])
    monkeypatch.setenv("TOUCHED", str(picture))
    answer = call(*world.command)
    assert answer.code == 5 and str(picture) in answer.err and "1 images" in answer.err
    monkeypatch.setenv("TOUCHED", "")
    assert not reused(call, world)
    assert reused(call, world)
