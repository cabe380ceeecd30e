"""Figures of the structure of the source tree, from its syntax trees.

    python benchmarks/structure.py [TREE] [--json]

A box is a module at the root of bench/ or a folder there (adapters/ counts as one); an arrow leads from a box to one
that it imports, also inside functions and for type checkers. Floors are the longest chain of boxes. An arrow runs up if
it is a back edge of a depth-first walk over the imports. The package facade, which names the public API, and `__main__`
are left out. Lines of code are lines with a token that is neither comment nor docstring.
"""

from __future__ import annotations

import argparse
import ast
import io
import json
import statistics
import tokenize
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FACADE = ("bench", "bench.__main__")
LAYOUT = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
Function = ast.FunctionDef | ast.AsyncFunctionDef


def source_files(root: Path) -> dict[str, Path]:
    found = {}
    for path in [*sorted(root.glob("bench/**/*.py")), *sorted(root.glob("adapters/**/*.py"))]:
        parts = path.relative_to(root).with_suffix("").parts
        found[".".join(["bench", *parts] if parts[0] == "adapters" else parts).removesuffix(".__init__")] = path
    return found


def imported(tree: ast.Module, modules: dict[str, Path]) -> Iterator[str]:
    """Yield the modules in `modules` that a module imports."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules else node.module


def box(module: str) -> str:
    return module.split(".")[1]


def components(graph: dict[str, set[str]]) -> list[set[str]]:
    """Return the strongly connected components (Tarjan), imported ones first."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in sorted(graph[node]):
            if other not in index:
                visit(other)
            if other in stack:
                low[node] = min(low[node], low[other])
        if low[node] == index[node]:
            found.append(set(stack[stack.index(node) :]))
            del stack[stack.index(node) :]

    for node in sorted(graph):
        if node not in index:
            visit(node)
    return found


def floors(graph: dict[str, set[str]]) -> int:
    """Return the number of boxes on the longest chain of imports; boxes in a circle share a floor."""
    parts = components(graph)
    of = {name: number for number, part in enumerate(parts) for name in part}
    depth: dict[int, int] = {}
    for number, part in enumerate(parts):  # dependencies come first
        below = {of[other] for name in part for other in graph[name]} - {number}
        depth[number] = 1 + max((depth[other] for other in below), default=0)
    return max(depth.values())


def arrows_up(graph: dict[str, set[str]]) -> int:
    """Return the number of back edges of a depth-first walk; 0 without circles."""
    entered: set[str] = set()

    def visit(node: str, path: tuple[str, ...]) -> int:
        entered.add(node)
        back = sum(other in path for other in graph[node])
        return back + sum(visit(other, (*path, other)) for other in sorted(graph[node]) if other not in entered)

    return sum(visit(node, (node,)) for node in sorted(graph) if node not in entered)


def code_lines(text: str, tree: ast.Module) -> int:
    """Return the number of lines of code, without blank lines, comments and docstrings."""
    docstrings = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | Function) and ast.get_docstring(node) is not None:
            first = node.body[0]
            docstrings.update(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in LAYOUT and token.type != tokenize.COMMENT:
            lines.update(range(token.start[0], token.end[0] + 1))
    return len(lines - docstrings)


def comment_lines(text: str) -> int:
    return sum(line.lstrip().startswith("#") for line in text.splitlines())


def figures(root: Path) -> dict[str, float]:
    modules = source_files(root)
    texts = {name: path.read_text(encoding="utf-8") for name, path in modules.items()}
    trees = {name: ast.parse(text) for name, text in texts.items()}
    links = {name: set(imported(tree, modules)) - {name, *FACADE} for name, tree in trees.items() if name not in FACADE}
    graph: dict[str, set[str]] = {box(name): set() for name in links}
    for name, others in links.items():
        graph[box(name)] |= {box(other) for other in others} - {box(name)}
    lengths = sorted(text.count("\n") for name, text in texts.items() if not name.startswith("bench.adapters"))
    functions = [node for tree in trees.values() for node in ast.walk(tree) if isinstance(node, Function)]
    documented = [function for function in functions if ast.get_docstring(function) is not None]
    total = sum(text.count("\n") for text in texts.values())
    return {
        "modules at the root": len(list(root.glob("bench/*.py"))),
        "boxes": len(graph),
        "floors": floors(graph),
        "arrows": sum(map(len, graph.values())),
        "arrows that run up": arrows_up(graph),
        "circles of boxes": sum(len(part) > 1 for part in components(graph)),
        "circles of modules": sum(len(part) > 1 for part in components(links)),
        "files of bench/": len(lengths),
        "of these below 60 lines": sum(length < 60 for length in lengths),
        "median lines": statistics.median(lengths),
        "longest file": lengths[-1],
        "files of bench/ and adapters/": len(texts),
        "lines": total,
        "lines of code": sum(code_lines(texts[name], trees[name]) for name in texts),
        "comment lines, %": round(100 * sum(map(comment_lines, texts.values())) / total, 2),
        "functions": len(functions),
        "functions with a docstring, %": round(100 * len(documented) / len(functions), 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tree", nargs="?", type=Path, default=ROOT)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    found = figures(asked.tree)
    lines = [f"{name:30} {value:g}" for name, value in found.items()]
    print(json.dumps(found, indent=1) if asked.json else "\n".join(lines))


if __name__ == "__main__":
    main()
