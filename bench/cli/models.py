"""Commands `bench models`, `bench models check` and `bench models fetch`."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

import typer

from bench.cli.console import print_json, print_status, print_table, print_text
from bench.cli.run import Device, Json, ModelKeys, Precision, open_data

if TYPE_CHECKING:
    from bench.models.contract import ContractReport
    from bench.models.spec import ModelSpec

# Label space of a model → the generated data set with its classes.
DEMOS = {"coco-133": "minicoco:demo"}


def register(app: typer.Typer) -> None:
    models = typer.Typer(rich_markup_mode=None)
    models.callback(invoke_without_command=True)(models_command)
    models.command("check")(check_command)
    models.command("fetch")(fetch_command)
    app.add_typer(models, name="models")


def models_command(
    context: typer.Context,
    json_: Json = False,
    format_: Annotated[Literal["table", "md"], typer.Option("--format", help="md prints docs/models.md.")] = "table",
) -> None:
    """List the models and their checkpoints."""
    if context.invoked_subcommand is None:
        _list(json_, format_)


def _list(json_: bool, style: str) -> None:
    from bench.datasets.label_spaces import space_name
    from bench.io.canonical_json import to_plain
    from bench.io.config import load_yaml, shipped_configs
    from bench.models.catalog import model_page
    from bench.models.model_file import ModelFile
    from bench.reports.tables import percent

    files = {name: load_yaml(path, ModelFile) for name, path in shipped_configs("models").items()}
    if json_:
        return print_json({name: to_plain(file) for name, file in files.items()})
    if style == "md":
        return print_text(model_page(files).rstrip("\n"))
    rows = [
        [
            f"{name}/{checkpoint}",
            space_name(where.categories),
            percent(where.published.PQ if where.published else None),
            where.published.rule if where.published else "–",
            file.method,
            where.repo
            or urlsplit(where.url or "").netloc
            or ("of two models" if where.parts else "shipped" if where.path else "none"),
        ]
        for name, file in files.items()
        for checkpoint, where in file.checkpoints.items()
    ]
    print_table("", ["model", "classes", "published PQ", "rule", "method", "weights"], rows)


def check_command(
    model: Annotated[str, typer.Argument(help="Model (bench models), family/checkpoint, or a YAML file.")],
    checkpoint: Annotated[str | None, typer.Option(help="Checkpoint name, or a folder in hub format.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Use the checkpoint, or a folder, for this data set.")] = None,
    device: Device = "auto",
    precision: Precision = "fp32",
    set_: ModelKeys = None,
    invariance: Annotated[
        bool, typer.Option("--invariance", help="Compare predictions when batch, order, precision … change.")
    ] = False,
    json_: Json = False,
) -> None:
    """Check on two images that a model fulfils the adapter contract. Exit code 1 if it does not."""
    from bench.io.config import parse_overrides
    from bench.models.resolve import resolve_model
    from bench.models.weights import check_available

    named = dataset.partition(":")[0] if dataset else None
    spec = resolve_model(
        model, named, checkpoint=checkpoint, precision=precision, overrides=parse_overrides(set_ or [])
    )
    check_available(spec)
    if invariance:
        return _check_invariance(spec, dataset, device, json_)
    scene = open_data("minicity:demo", None, 1, None).samples[0].read_image()
    # After the weights are found, since these imports load torch.
    from bench.models.contract import check_contract, contract_images
    from bench.models.loading import open_model

    with open_model(spec, device) as adapter:
        report = check_contract(f"{spec.name}/{spec.checkpoint}", adapter, contract_images(scene.rgb))
    print_json(report.to_json()) if json_ else _show(report)
    raise typer.Exit(1 if report.failed else 0)


def _check_invariance(spec: ModelSpec, dataset: str | None, device: str, json_: bool) -> None:
    """Print the invariance of a model on four images. Exits with code 1 if a row is beyond its tolerance."""
    data = open_data(dataset or DEMOS.get(spec.categories, "minicity:demo"), None, None, None)
    # After the settings are checked: this import loads torch.
    from bench.models.invariance import check_invariance
    from bench.reports.tables import ends, value

    report = check_invariance(spec, data, device, lambda done, total: print_status(f"{done} of {total} comparisons"))
    if json_:
        print_json(report.to_json())
    else:
        rows = [
            [
                row.name,
                row.verdict,
                "–" if row.pixels is None else f"{100 * row.pixels:.3f}",
                value(row.PQ, 2, "+"),
                ends(row.PQ, 2, "+"),
                f"{100 * row.tolerance.pixels:g} / {100 * row.tolerance.PQ:g}" if row.tolerance else "–",
                row.found,
            ]
            for row in report.rows
        ]
        columns = ["", "verdict", "pixels (%)", "ΔPQ", "95 % of it", "pixels / PQ allowed", "found"]
        print_table(f"{report.model} on {report.images} images of {report.dataset}", columns, rows)
    raise typer.Exit(1 if report.failed else 0)


def _show(report: ContractReport) -> None:
    print_table(report.model, ["check", "", "found"], [[c.name, c.verdict, c.found] for c in report.checks])
    failed = [check.name for check in report.checks if check.verdict == "failed"]
    print_text(f"{report.model}: " + (f"failed: {', '.join(failed)}" if failed else "fulfils the contract"))


def fetch_command(
    model: Annotated[str, typer.Argument(help="Model (bench models), family/checkpoint, or a YAML file.")],
    checkpoint: Annotated[str | None, typer.Option(help="Checkpoint name.")] = None,
    dataset: Annotated[str | None, typer.Option(help="Use the checkpoint for this data set.")] = None,
    json_: Json = False,
) -> None:
    """Download the missing files of a checkpoint and print their folder."""
    from bench.models.resolve import resolve_model

    spec = resolve_model(model, dataset, checkpoint=checkpoint)
    found = [_fetched(part) for part in spec.parts.values() or (spec,)]
    if json_:
        return print_json(found)
    for one in found:
        size = sum(one["files"].values()) / 1e6
        at = f", {one['repo']} at {one['commit'][:12]}" if one["repo"] else ""
        print_text(f"{one['model']}: {one['path']} ({len(one['files'])} files, {size:,.1f} MB{at})")


def _fetched(spec: ModelSpec) -> dict[str, Any]:
    """Return the location of a checkpoint, downloaded first if it is on the hub."""
    from bench.models.hub import fetch
    from bench.models.loading import adapter_module
    from bench.models.weights import check_available

    if spec.local:
        # The files alone: packages and environments are needed to run the model, not to fetch it.
        check_available(replace(spec, env=None, needs={}))
        path = Path(spec.source)
    else:
        module, name = adapter_module(spec)
        path = fetch(spec.source, spec.revision, getattr(getattr(module, name), "more_files", ()))
    files = [path] if path.is_file() else sorted(file for file in path.iterdir() if file.is_file())
    return {
        "model": f"{spec.name}/{spec.checkpoint}",
        "repo": None if spec.local else spec.source,
        "commit": None if spec.local else path.name,
        "path": str(path),
        "files": {file.name: file.stat().st_size for file in files},
    }
