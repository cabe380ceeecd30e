"""What a worker's interpreter sees: few files, as old a Python as 3.9, none of our other packages."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest
from fakes import write_model

from bench.models.resolve import resolve_model
from bench.models.spec import ModelSpec
from bench.models.worker.deploy import copy_worker_files

FOREIGN = ("mmdet_models", "detectron2_models", "torch_ops", "stub_modules", "weights_only")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCH_CACHE", str(tmp_path / "cache"))


def shipped() -> ModelSpec:
    return resolve_model("panoptic-fpn-d2", "coco")


def needed(folder: Path) -> list[Path]:
    """The files of a worker, and of adapters those for other frameworks: others have an environment of ours."""
    files = [path for path in sorted(folder.glob("**/*.py")) if "adapters" not in path.relative_to(folder).parts]
    return files + [folder / "bench" / "adapters" / f"{name}.py" for name in FOREIGN]


def test_a_user_s_model_comes_with_few_files(tmp_path: Path) -> None:
    tree = copy_worker_files(resolve_model(str(write_model(tmp_path)), "cityscapes"))
    assert tree.module is None and tree.file == tree.folder / "mine.py"
    names = {path.relative_to(tree.folder).as_posix() for path in tree.folder.glob("**/*") if path.is_file()}
    assert {name for name in names if "/fusion/" not in name} == {
        "mine.py", "bench/__init__.py", "bench/errors.py", "bench/types.py", "bench/parallel.py",
        "bench/_native/__init__.py", "bench/models/__init__.py", "bench/models/adapter.py",
        "bench/models/devices.py", "bench/models/flops.py", "bench/models/hub.py",
        "bench/models/worker/__init__.py", "bench/models/worker/protocol.py", "bench/models/worker/server.py",
    }  # fmt: skip


def test_a_tree_is_named_by_what_is_in_it(tmp_path: Path) -> None:
    yaml = write_model(tmp_path)
    first = copy_worker_files(resolve_model(str(yaml), "cityscapes")).folder
    assert copy_worker_files(resolve_model(str(yaml), "cityscapes")).folder == first
    file = tmp_path / "mine.py"
    file.write_text(file.read_text() + "\n# changed\n")
    second = copy_worker_files(resolve_model(str(yaml), "cityscapes"))
    assert second.folder != first and first.is_dir()
    assert second.file is not None and second.file.read_text().endswith("# changed\n")


def test_the_files_import_none_of_ours_that_is_not_among_them() -> None:
    folder = copy_worker_files(shipped()).folder
    for path in needed(folder):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:  # what a function imports is its own affair
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("bench."):
                module = folder / node.module.replace(".", "/")
                assert module.with_suffix(".py").is_file() or module.is_dir(), f"{path.name} imports {node.module}"


def test_the_files_are_of_python_3_9() -> None:
    folder = copy_worker_files(shipped()).folder
    files = [*needed(folder), folder / "bench" / "adapters" / "transformers_models.py"]  # some of it is imported
    assert len(files) > 12
    command = ["ruff", "check", "--isolated", "--no-cache", "--select", "E9,F", "--target-version", "py39"]
    done = subprocess.run([sys.executable, "-m", *command, *map(str, files)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def newer_calls(source: str) -> list[str]:
    """Calls that Python 3.9 does not know, which no syntax check sees."""
    calls = [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)]
    words = {"zip": {"strict"}, "dataclass": {"slots", "kw_only"}, "field": {"kw_only"}}
    newer = [c.lineno for c in calls if {word.arg for word in c.keywords} & words.get(ast.unparse(c.func), set())]
    unions = [c.lineno for c in calls if ast.unparse(c.func) == "isinstance" and isinstance(c.args[1], ast.BinOp)]
    return [f"line {line}" for line in sorted(newer + unions)]


def test_the_files_call_nothing_newer() -> None:
    found = {path.name: newer_calls(path.read_text()) for path in needed(copy_worker_files(shipped()).folder)}
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_the_check_of_calls_sees_what_it_should() -> None:
    assert newer_calls("zip(a, b, strict=True)\nisinstance(x, int | str)\nzip(a, b)") == ["line 1", "line 2"]


def test_a_worker_sees_none_of_our_packages() -> None:
    """With `-I`, what stands in PYTHONPATH stays out, and `bench` is the copy."""
    tree = copy_worker_files(shipped()).folder
    path = f"import sys; sys.path.insert(0, {str(tree)!r}); "
    script = path + "import bench.models.worker.server as w; print(w.__file__, 'yaml' in sys.modules)"
    done = subprocess.run([sys.executable, "-I", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(tree / "bench" / "models" / "worker" / "server.py"), "False"]
