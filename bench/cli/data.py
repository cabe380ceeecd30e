"""bench data make, bench data damage, bench data map."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import check, show
from bench.cli.output import print_text, progress, say
from bench.cli.run import Json, Limit, Root, open_data

Rate = Annotated[float | None, typer.Option(min=0.0, max=1.0, help="Chance for a segment.")]


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    data = typer.Typer(help="Make, damage and look at data sets.", no_args_is_help=True, rich_markup_mode=None)
    data.command("make")(make_command)
    data.command("damage")(damage_command)
    data.command("map")(map_command)
    check.register(data)
    app.add_typer(data, name="data")


def make_command(
    name: Annotated[str, typer.Argument(help="An embedded data set, with :split; all splits without.")] = "minicity",
    data_root: Root = None,
) -> None:
    """Generate an embedded data set into the cache (done on first use anyway)."""
    from bench.config import find
    from bench.datasets.derived import read_spec

    splits = [name] if ":" in name else [f"{name}:{s}" for s in read_spec(find("datasets", name)).splits]
    for split in splits:
        data = open_data(split, data_root, None, None)
        print_text(f"{data.name}:{data.split}: {len(data.samples)} images")


def damage_command(
    dataset: Annotated[str, typer.Argument(help="Data set, with :split.")],
    out: Annotated[Path, typer.Option(help="Folder for the predictions.")],
    seed: Annotated[int, typer.Option(help="Other seeds damage other segments.")] = 0,
    drop: Rate = None,
    split: Rate = None,
    merge: Rate = None,
    relabel: Rate = None,
    void: Rate = None,
    jitter: Annotated[int | None, typer.Option(min=0, help="Pixels that a mask may move.")] = None,
    data_root: Root = None,
    limit: Limit = None,
) -> None:
    """Write the ground truth with seeded faults as predictions: a test double, and a ceiling."""
    from dataclasses import replace

    from bench.damage import Damage, damage_dataset

    data = open_data(dataset, data_root, limit, None)
    given = {"drop": drop, "split": split, "merge": merge, "relabel": relabel, "void": void, "jitter": jitter}
    faults = replace(Damage(), **{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    with progress("damaging") as on_image:
        print_text(str(damage_dataset(data, out, seed=seed, faults=faults, on_image=on_image)))


def map_command(
    name: Annotated[str, typer.Argument(help="Data set whose labels are mapped from another's, with :split.")],
    data_root: Root = None,
    limit: Limit = None,
    keep: Annotated[Path | None, typer.Option(help="Keep it beside this run on the data set, for its report.")] = None,
    json_: Json = False,
) -> None:
    """Audit a label map: pixels covered, classes out of reach, the ceiling that it leaves, its sha256."""
    from bench.datasets.derived import unmapped
    from bench.map_audit import audit_map
    from bench.results import read_run
    from bench.truth_map import demand_truth_of, keep_audit

    data, run = open_data(name, data_root, limit, None), read_run(keep) if keep else None
    if run is not None:
        demand_truth_of(run, data)
    base = unmapped(data, data_root)
    with progress("reading the truth") as on_image:
        audit = audit_map(data, base, on_image=on_image)
    if run is not None:
        say(f"kept: {keep_audit(audit.to_json(), run)}")
    show.show_map(audit, json_)
