"""The wheel: nothing of the source tree is missing from it, and it works alone, far from the checkout."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
COMPILED = re.compile(r".*_(maps|png_runs)\..*(so|pyd)$").match  # may be in the wheel, where there is a compiler
SETUPTOOLS: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["setuptools"]
PLACES: dict[str, str] = {folder: package for package, folder in SETUPTOOLS["package-dir"].items()}

# Every shipped config, resolved by the code beside it; two scenes, drawn by processes of the wheel's own.
INSIDE = """
import json, sys
from pathlib import Path
import bench
from bench.io.config import load_yaml, shipped_configs
from bench.datasets.dataset import parse_dataset_name
from bench.datasets.registry import read_spec
from bench.datasets.synthetic.generate import marker
from bench.datasets.synthetic.minicity import write
from bench.datasets.label_map_files import load_map
from bench.models.model_file import ModelFile
from bench.models.weights import check_available
from bench.models.resolve import resolve_model
from bench.training.recipe import Recipe
from bench.datasets.label_spaces import load_space

def main():
    for path in shipped_configs("datasets").values():
        read_spec(path)
    for name in shipped_configs("labels"):
        load_map(name) if "-to-" in name else load_space(name)
    for name, path in shipped_configs("models").items():
        for checkpoint in load_yaml(path, ModelFile).checkpoints:
            spec = resolve_model(name, "", checkpoint=checkpoint)
            if not spec.needs and spec.env is None:  # what those want is not in every environment
                check_available(spec)
    for path in shipped_configs("train").values():
        load_yaml(path, Recipe)
    root = write.MINICITY.write_split(write.MINICITY.cache_root(), "demo", limit=2, workers=2)
    note = marker(root, "demo")
    note.write_text(json.dumps({**json.loads(note.read_text()), "images": 50}))
    kinds = {kind: sorted(shipped_configs(kind)) for kind in ("datasets", "labels", "models", "train")}
    print(json.dumps({"file": bench.__file__, **kinds}))

if __name__ == "__main__":
    main()
"""


def tree() -> dict[str, Path]:
    """Name in the wheel → file of the source tree, of all that belongs to a package."""
    found = {}
    for folder, package in PLACES.items():
        for path in sorted((ROOT / folder).rglob("*")):
            below = path.relative_to(ROOT / folder)
            hidden = any(part.startswith(".") or part == "__pycache__" or COMPILED(part) for part in below.parts)
            if path.is_file() and not hidden:
                found[f"{package.replace('.', '/')}/{below.as_posix()}"] = path
    return found


def test_every_package_is_declared() -> None:
    """A folder with an `__init__.py` that `packages` does not list would be missing from the wheel."""
    inits = [name for name in tree() if name.endswith("/__init__.py")]
    on_disk = {name.removesuffix("/__init__.py").replace("/", ".") for name in inits}
    assert set(SETUPTOOLS["packages"]) == on_disk
    assert len(set(SETUPTOOLS["packages"])) == len(SETUPTOOLS["packages"])


def test_no_module_lies_outside_a_package() -> None:
    names = tree()
    folders = {name.rpartition("/")[0] for name in names if name.endswith(".py")}
    assert [folder for folder in sorted(folders) if f"{folder}/__init__.py" not in names] == []


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, since setuptools leaves its own folders in the tree and takes what it finds in them."""
    folder = tmp_path_factory.mktemp("wheel")
    copy = folder / "source"
    for name in PLACES:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.pyd"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    pip("wheel", "--no-build-isolation", "--wheel-dir", folder, copy)
    (built,) = folder.glob("*.whl")
    return built


def pip(command: str, *arguments: object, python: Path | None = None) -> None:
    options = ["--no-deps", "--no-index", "--quiet", "--disable-pip-version-check"]
    into = [] if python is None else ["--python", str(python)]
    whole = [sys.executable, "-m", "pip", *into, command, *options, *map(str, arguments)]
    done = subprocess.run(whole, capture_output=True, text=True, env=clean())
    assert done.returncode == 0, done.stdout + done.stderr


def clean(**more: str) -> dict[str, str]:
    """An environment that says nothing of the checkout, nor of anybody's data."""
    private = ("BENCH_", "CITYSCAPES_", "DETECTRON2_", "PYTHON", "VIRTUAL_ENV", "PIP_")
    return {name: value for name, value in os.environ.items() if not name.startswith(private)} | more


@pytest.fixture(scope="module")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel in it. It borrows this one's third-party packages by their path alone,
    which leaves out an editable install of the checkout."""
    folder = tmp_path_factory.mktemp("elsewhere")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True, env=clean())
    pip("install", wheel, python=folder / "venv" / "bin" / "python")
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    borrowed = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site / "borrowed.pth").write_text("\n".join(borrowed) + "\n", encoding="utf-8")
    (folder / "empty").mkdir()
    return folder


def there(elsewhere: Path, *command: object, code: int = 0) -> tuple[str, str]:
    """stdout and stderr of a program of the environment, started in its empty folder."""
    program, *arguments = map(str, command)
    done = subprocess.run(
        [elsewhere / "venv" / "bin" / program, *arguments], cwd=elsewhere / "empty", timeout=300,
        capture_output=True, text=True, env=clean(BENCH_CACHE=str(elsewhere / "cache")),
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def test_the_wheel_holds_the_whole_tree(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name: archive.getinfo(name).file_size for name in archive.namelist()}
    wanted = tree()
    missing = [name for name, path in wanted.items() if inside.get(name) != path.stat().st_size]
    assert missing == [], "add them to packages or package-data of pyproject.toml"
    more = [name for name in inside if name not in wanted and ".dist-info/" not in name]
    assert [name for name in more if not COMPILED(name.rpartition("/")[2])] == []


@pytest.fixture(scope="module")
def resolved(elsewhere: Path) -> dict[str, Any]:
    """What the script above found; a cache with two scenes is there from now on."""
    script = elsewhere / "inside.py"
    script.write_text(INSIDE, encoding="utf-8")
    found: dict[str, Any] = json.loads(there(elsewhere, "python", script)[0])
    return found


def test_every_shipped_config_resolves_far_from_the_checkout(elsewhere: Path, resolved: dict[str, Any]) -> None:
    assert Path(resolved["file"]).is_relative_to(elsewhere / "venv")
    found = {kind: names for kind, names in resolved.items() if kind != "file"}
    assert found == {kind: sorted(p.stem for p in (ROOT / "configs" / kind).glob("*.yaml")) for kind in found}


def test_the_lists_are_those_of_the_tree(elsewhere: Path) -> None:
    for command in ("datasets", "models"):
        listed = json.loads(there(elsewhere, "bench", command, "--json")[0])
        assert sorted(listed) == sorted(path.stem for path in (ROOT / "configs" / command).glob("*.yaml"))


def test_the_first_command_of_the_readme_asks_for_data_alone(elsewhere: Path) -> None:
    command = "bench run --model mask2former --dataset cityscapes"
    assert command in (ROOT / "README.md").read_text(encoding="utf-8")
    out, err = there(elsewhere, *command.split(), code=3)
    assert out == ""
    assert "cityscapes: no data root" in err


@pytest.mark.usefixtures("resolved")
def test_a_shipped_model_runs_on_the_embedded_data(elsewhere: Path) -> None:
    """The weights, the adapter and the configs all come from inside the wheel."""
    pytest.importorskip("torch")
    pytest.importorskip("transformers")
    run = ("bench", "run", "--model", "mask2former", "--dataset", "minicity:demo", "--limit", 2, "--device", "cpu")
    score = json.loads(there(elsewhere, *run, "--out", elsewhere / "results", "--json")[0])
    assert score["images"] == 2
    assert score["PQ"]["all"]["PQ"] > 0.1
    (file,) = (elsewhere / "results").glob("minicity-demo/mask2former/*/run.json")
    meta = json.loads(file.read_text(encoding="utf-8"))
    assert meta["model"]["source"] == "weights/mask2former-tiny-minicity"
    assert list((elsewhere / "empty").iterdir()) == []
