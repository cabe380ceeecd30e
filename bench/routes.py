"""What leads to a model where its family has no checkpoint for a data set: a recipe, or a label map."""

from __future__ import annotations

from collections.abc import Mapping

from bench.config import load_yaml, shipped
from bench.maps import MapFile


def no_checkpoint(family: str, dataset: str, space: str, checkpoints: Mapping[str, str]) -> str:
    """The message; `space` is the data set's label space ("" for unknown), `checkpoints` are name → label space.

    Where the space is unknown, any checkpoint may do, so that all are named.
    """
    ways = [f"train one (bench train {name} --out DIR) and give --checkpoint DIR" for name in _recipes(family, dataset)]
    sources = {source: label_maps(source, space) for source in dict.fromkeys(checkpoints.values())}
    chains = {name: sources[source] for name, source in checkpoints.items()}
    for chain in dict.fromkeys(chain for chain in chains.values() if chain is not None):
        names = " or ".join(name for name, leads in chains.items() if leads == chain)
        ways.append(f"give --checkpoint {names}" + (f" (mapped by {', then '.join(chain)})" if chain else ""))
    if not space and checkpoints:
        ways.append(f"give --checkpoint {' or '.join(checkpoints)}")
    ways.append("give --checkpoint DIR, a folder of your own")
    return f"{family} has no checkpoint for {dataset}: {', or '.join(ways)}"


def _recipes(family: str, dataset: str) -> list[str]:
    """Shipped recipes are called `<family>-…-<data set>`."""
    return [name for name in shipped("train") if name.startswith(f"{family}-") and name.endswith(f"-{dataset}")]


def label_maps(source: str, target: str) -> tuple[str, ...] | None:
    """The shipped maps that lead from one label space to another, at most two in a row; none where none does."""
    if source == target:
        return ()
    files = {name: load_yaml(path, MapFile) for name, path in shipped("labels").items() if "-to-" in name}
    last = [name for name, file in files.items() if file.target == target]
    direct = [(name,) for name in last if files[name].source == source]
    pairs = [
        (first, second)
        for second in last
        for first, file in files.items()
        if file.source == source and file.target == files[second].source
    ]
    return next(iter([*direct, *pairs]), None)
