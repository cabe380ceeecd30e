"""The direction of imports: a module imports from its own layer or below, and heavy packages stay where they may be."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Longest prefix decides. Recipes and adapters stand aside: nothing but the command line (and, for adapters, a name
# in a YAML) reaches them.
LAYERS = {
    "bench": 0, "bench.errors": 0, "bench.types": 0, "bench.untrusted": 0, "bench.shape": 0,
    "bench.strict_yaml": 0, "bench.compiled": 0, "bench.pipeline": 0, "bench.user_code": 0, "bench.devices": 0,
    "bench.versions": 0,
    "bench.overlap": 1, "bench.labels": 1, "bench.metrics": 1, "bench.fusion": 1,
    "bench.needs": 1, "bench.hub": 1,
    "bench.config": 2, "bench.routes": 2, "bench.spaces": 2, "bench.maps": 2, "bench.model_file": 2,
    "bench.models": 2, "bench.own_folder": 2, "bench.adapter": 2, "bench.counting": 2,
    "bench.formats": 2, "bench.wire": 2, "bench.cache": 2, "bench.envs": 2, "bench.hashing": 2,
    "bench.datasets": 3, "bench.provenance": 3, "bench.results": 3, "bench.predictions": 3,
    "bench.contract": 3, "bench.damage": 3, "bench.shards": 3, "bench.doctor": 3, "bench.latency": 3,
    "bench.env_make": 3, "bench.model_table": 3, "bench.ledger": 3, "bench.account": 3, "bench.truth_map": 3,
    "bench.takeover": 3,
    "bench.identity": 5, "bench.job": 5,
    "bench.link": 3, "bench.worker_tree": 3, "bench.worker": 4, "bench.remote": 4,
    "bench.evaluate": 4, "bench.check": 4, "bench.stats": 4,
    "bench.verify": 4, "bench.levels": 4, "bench.reading": 4, "bench.comparison": 4, "bench.explain": 4,
    "bench.launch": 5, "bench.scoring": 5, "bench.timing": 5, "bench.predict": 5, "bench.merge": 5,
    "bench.map_audit": 5, "bench.demo": 5,
    "bench.reference": 5, "bench.report": 5,
    "bench.report.gate": 8,
    "bench.study": 4, "bench.suite": 6, "bench.study.carry_out": 6, "bench.gate": 7,
    "bench.cli": 8, "bench.__main__": 8,
}  # fmt: skip
ASIDE = {"bench.recipes": 4, "bench.adapters": 2}  # the highest layer that they may import
FRAMEWORKS = {"torch", "torchvision", "transformers", "detectron2", "mmdet", "mmcv", "mmengine", "accelerate", "ray",
              "timm", "scipy"}  # fmt: skip
PURE = ("bench.errors", "bench.types", "bench.overlap", "bench.labels", "bench.metrics")
ORACLES = {"panopticapi", "cityscapesscripts", "hotcoco", "torchmetrics", "pycocotools"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    named = ".".join(["bench", *parts] if parts[0] == "adapters" else parts)
    return named.removesuffix(".__init__")


def sources() -> dict[str, str]:
    """Module → source text of all that ships."""
    files = [*ROOT.glob("bench/**/*.py"), *ROOT.glob("adapters/**/*.py")]
    return {module_name(path): path.read_text(encoding="utf-8") for path in sorted(files)}


SOURCES = sources()


def imports(source: str, *, top_level: bool = False) -> Iterator[str]:
    """What a module imports, as dotted names; `top_level` leaves out what only functions import."""
    tree = ast.parse(source)
    inside = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for node in ast.walk(function)
    }
    for node in ast.walk(tree):
        if top_level and id(node) in inside:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, "relative imports hide the direction"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(name: str, table: dict[str, int]) -> int | None:
    """The entry of the longest prefix of a dotted name."""
    parts = name.split(".")
    found = (table.get(".".join(parts[:n])) for n in range(len(parts), 0, -1))
    return next((layer for layer in found if layer is not None), None)


def wrong_directions(module: str, source: str) -> list[str]:
    """Imports that go upwards, or into what stands aside."""
    aside = place(module, ASIDE)
    own = place(module, LAYERS) if aside is None else aside
    assert own is not None
    wrong = []
    for name in imports(source):
        if name.partition(".")[0] != "bench":
            continue
        into_aside = place(name, ASIDE) is not None
        same_family = name.split(".")[:2] == module.split(".")[:2]
        trains = module.startswith("bench.recipes") and name.startswith("bench.adapters")
        shown = own == LAYERS["bench.cli"] and name.startswith("bench.recipes")
        allowed = not into_aside or same_family or trains or shown
        if not allowed or (not into_aside and (place(name, LAYERS) or 0) > own):
            wrong.append(f"{module} imports {name}")
    return wrong


def packages(module: str, *, top_level: bool = False) -> set[str]:
    return {name.partition(".")[0] for name in imports(SOURCES[module], top_level=top_level)}


def test_every_module_has_a_layer() -> None:
    exact = {**LAYERS, **ASIDE}
    unplaced = [m for m in SOURCES if m != "bench" and ".".join(m.split(".")[:2]) not in exact]
    assert unplaced == []


@pytest.mark.parametrize("module", [module for module in SOURCES if module != "bench"])
def test_imports_go_down(module: str) -> None:
    assert wrong_directions(module, SOURCES[module]) == []


def test_the_package_itself_only_names_what_it_exports() -> None:
    """For type checkers; at run time its public names are imported when they are asked for."""
    read = [node for node in ast.parse(SOURCES["bench"]).body if not isinstance(node, ast.If)]
    outside = {name.partition(".")[0] for node in read for name in imports(ast.unparse(node))}
    assert outside <= sys.stdlib_module_names


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("bench.metrics.pq", "from bench.results import read_run"),
        ("bench.types", "import bench.overlap"),
        ("bench.report.page", "def f():\n    from bench.cli import output"),
        ("bench.launch", "from bench import cli"),
        ("bench.evaluate", "from bench.adapters.transformers_models import Mask2Former"),
        ("bench.launch", "from bench.recipes.train import train"),
        ("bench.recipes.train", "from bench.launch import run"),
        ("bench.adapters.mine", "from bench.datasets.dataset import Dataset"),
    ],
)
def test_a_wrong_direction_is_noticed(module: str, line: str) -> None:
    assert len(wrong_directions(module, line)) == 1


@pytest.mark.parametrize("module", [m for m in SOURCES if m.startswith(PURE)])
def test_what_scores_needs_numpy_alone(module: str) -> None:
    outside = packages(module) - {"bench", "numpy"} - sys.stdlib_module_names
    assert outside == set()


@pytest.mark.parametrize("module", SOURCES)
def test_frameworks_are_imported_where_they_are_used(module: str) -> None:
    """Not by importing a module: adapters, fusion and recipes alone touch them; adapters inside functions."""
    network = module.startswith("bench.adapters.efficientps.") and not module.endswith((".adapter", ".config"))
    allowed = module.startswith(("bench.fusion", "bench.recipes")) or network
    assert allowed or not packages(module, top_level=True) & FRAMEWORKS
    inside = ("bench.fusion", "bench.recipes", "bench.adapters", "bench.counting", "bench.devices")
    assert module.startswith(inside) or not packages(module) & FRAMEWORKS


def test_the_check_of_frameworks_sees_the_top_level_alone() -> None:
    source = "import numpy\ndef f():\n    import torch\nclass A:\n    import scipy.ndimage\n"
    assert set(imports(source, top_level=True)) == {"numpy", "scipy.ndimage"}
    assert "torch" in set(imports(source))


@pytest.mark.parametrize("module", [m for m in SOURCES if m.startswith("bench.report")])
def test_a_report_cannot_run_a_model(module: str) -> None:
    runs = ("bench.launch", "bench.scoring", "bench.job", "bench.evaluate")
    barred = (*runs, "bench.adapter", "bench.adapters", "bench.fusion.queries", "torch")
    assert [name for name in imports(SOURCES[module]) if name.startswith(barred)] == []


@pytest.mark.parametrize("module", [m for m in SOURCES if not m.startswith("bench.cli")])
def test_only_the_command_line_prints(module: str) -> None:
    calls = [node for node in ast.walk(ast.parse(SOURCES[module])) if isinstance(node, ast.Call)]
    printed = [c.lineno for c in calls if isinstance(c.func, ast.Name) and c.func.id == "print"]
    written = [
        c.lineno for c in calls if ast.unparse(c.func) in ("sys.stdout.write", "sys.stderr.write", "warnings.warn")
    ]
    assert printed + written == []


@pytest.mark.parametrize("module", SOURCES)
def test_references_stay_in_the_tests(module: str) -> None:
    """All but panopticapi, which one command calls where it is asked to, inside a function."""
    allowed = {"panopticapi"} if module == "bench.reference" else set()
    assert not packages(module) & ORACLES - allowed
    assert not packages(module, top_level=True) & ORACLES
