"""The direction of imports: a room imports from the floors below its own, and heavy packages stay where they may be."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (
    "io metrics fusion",
    "datasets results",
    "analysis forms",
    "reports",
    "models",  # from here up, a model can be run
    "adapters evaluation",
    "training",
    "cli",
)
FLOOR = {room: floor for floor, rooms in enumerate(FLOORS, 1) for room in rooms.split()}
FRAMEWORKS = {"torch", "torchvision", "transformers", "detectron2", "mmdet", "mmcv", "mmengine", "accelerate", "ray",
              "timm", "scipy"}  # fmt: skip
ORACLES = {"panopticapi", "cityscapesscripts", "hotcoco", "torchmetrics", "pycocotools"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(["bench", *parts] if parts[0] == "adapters" else parts).removesuffix(".__init__")


FILES = [*sorted(ROOT.glob("bench/**/*.py")), *sorted(ROOT.glob("adapters/**/*.py"))]
SOURCES = {module_name(path): path.read_text(encoding="utf-8") for path in FILES}
INSIDE = [module for module in SOURCES if module not in ("bench", "bench.__main__")]


def room(module: str) -> str:
    """bench.io.coco → io; a root module, or a name of one, → "" (floor 0)."""
    part = f"{module}.".split(".")[1]
    return part if part in FLOOR else ""


def imports(source: str, *, top_level: bool = False) -> Iterator[str]:
    """What a module imports, as dotted names; `top_level` leaves out what only functions import."""
    tree = ast.parse(source)
    functions = (
        [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)] if top_level else []
    )
    inside = {id(node) for function in functions for node in ast.walk(function)}
    for node in ast.walk(tree):
        if id(node) in inside:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "relative imports hide the direction"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def from_other_rooms(module: str, source: str) -> list[str]:
    return [name for name in imports(source) if name.startswith("bench.") and room(name) != room(module)]


def upward(module: str, source: str) -> list[str]:
    floor = FLOOR.get(room(module), 0)
    return [name for name in from_other_rooms(module, source) if FLOOR.get(room(name), 0) >= floor]


def packages(module: str, *, top_level: bool = False) -> set[str]:
    return {name.partition(".")[0] for name in imports(SOURCES[module], top_level=top_level)}


def test_every_folder_is_a_room() -> None:
    assert {path.parent.name for path in ROOT.glob("bench/[a-z]*/__init__.py")} | {"adapters"} == set(FLOOR)


@pytest.mark.parametrize("module", INSIDE)
def test_imports_go_down(module: str) -> None:
    assert upward(module, SOURCES[module]) == []


@pytest.mark.parametrize("module", INSIDE)
def test_a_folder_inside_a_room_is_private_to_it(module: str) -> None:
    """But for what its __init__.py shows. Training works on the inside of one network that ships as an adapter."""
    names = (name for name in from_other_rooms(module, SOURCES[module]) if name.rpartition(".")[0].count(".") > 2)
    allowed = ("bench.adapters.efficientps.",) if room(module) == "training" else ()
    assert [name for name in names if not name.startswith(allowed)] == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("bench.metrics.pq", "from bench.results.run import read_run"),
        ("bench.types", "import bench.io.files"),
        ("bench.reports.page.page", "def f():\n    from bench.cli import console"),
        ("bench.reports.report", "from bench.models.loading import load_model"),
        ("bench.evaluation.run", "from bench import cli"),
        ("bench.evaluation.run", "from bench.adapters.transformers_models import Mask2Former"),
        ("bench.evaluation.run", "from bench.training.train import train"),
        ("bench.adapters.mine", "from bench.evaluation.run import run"),
    ],
)
def test_a_wrong_direction_is_noticed(module: str, line: str) -> None:
    assert len(upward(module, line)) == 1


def test_the_package_itself_only_names_what_it_exports() -> None:
    """For type checkers; at run time its public names are imported when they are asked for."""
    read = [node for node in ast.parse(SOURCES["bench"]).body if not isinstance(node, ast.If)]
    outside = {name for node in read for name in imports(ast.unparse(node)) if name != "bench.__version__.__version__"}
    assert {name.partition(".")[0] for name in outside} <= sys.stdlib_module_names


@pytest.mark.parametrize("module", [m for m in INSIDE if room(m) in ("", "metrics")])
def test_what_scores_needs_numpy_alone(module: str) -> None:
    assert packages(module) - {"bench", "numpy"} - sys.stdlib_module_names == set()


@pytest.mark.parametrize("module", SOURCES)
def test_frameworks_are_imported_where_they_are_used(module: str) -> None:
    """By importing a module of fusion, training or EfficientPS; else by functions of adapters and two of models."""
    network = module.startswith("bench.adapters.efficientps.") and not module.endswith((".adapter", ".config"))
    if room(module) in ("fusion", "training") or network:
        return
    assert not packages(module, top_level=True) & FRAMEWORKS
    inside = room(module) == "adapters" or module in ("bench.models.flops", "bench.models.devices")
    assert inside or not packages(module) & FRAMEWORKS


def test_the_check_of_frameworks_sees_the_top_level_alone() -> None:
    source = "import numpy\ndef f():\n    import torch\nclass A:\n    import scipy.ndimage\n"
    assert set(imports(source, top_level=True)) == {"numpy", "scipy.ndimage"}
    assert "torch" in set(imports(source))


@pytest.mark.parametrize("module", [m for m in SOURCES if room(m) != "cli"])
def test_only_the_command_line_prints(module: str) -> None:
    calls = [node for node in ast.walk(ast.parse(SOURCES[module])) if isinstance(node, ast.Call)]
    printing = ("print", "sys.stdout.write", "sys.stderr.write", "warnings.warn")
    assert [call.lineno for call in calls if ast.unparse(call.func) in printing] == []


@pytest.mark.parametrize("module", SOURCES)
def test_references_stay_in_the_tests(module: str) -> None:
    """All but panopticapi, which one command calls where it is asked to, inside a function."""
    allowed = {"panopticapi"} if module == "bench.analysis.reference" else set()
    assert not packages(module) & ORACLES - allowed
    assert not packages(module, top_level=True) & ORACLES
