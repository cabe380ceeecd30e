"""Command `bench verify`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.console import print_json, print_table, print_text
from bench.cli.progress import progress
from bench.cli.run import Json, MaxPixels, Root, Workers
from bench.cli.stored import DatasetName, Gt, GtDir, Results, RunName, open_truth
from bench.parallel import WORKERS

if TYPE_CHECKING:
    from bench.analysis.reference import Reference, ReferenceDifference
    from bench.analysis.verify import VerificationCheck
    from bench.datasets.dataset import Dataset
    from bench.results.predictions import PredictionFolder
    from bench.results.run import Run

SHOWN = 20  # findings of a check; --json has them all


def register(app: typer.Typer) -> None:
    app.command("verify")(verify_command)


def verify_command(
    run: RunName,
    reference: Annotated[
        bool, typer.Option("--reference", help="Also score the predictions with panopticapi.")
    ] = False,
    predictions: Annotated[Path | None, typer.Option(help="Predictions to check if the run kept none.")] = None,
    dataset: DatasetName = None,
    gt: Gt = None,
    gt_dir: GtDir = None,
    data_root: Root = None,
    workers: Workers = WORKERS,
    max_pixels: MaxPixels = None,
    results: Results = Path("results"),
    json_: Json = False,
) -> None:
    """Check a run against its stored lines. --reference adds panopticapi. Exit code 1 if a check fails."""
    from bench.analysis.verify import verify
    from bench.results.predictions import open_predictions, saved_predictions
    from bench.results.run import find_run

    done = find_run(run, results)
    given = open_predictions(predictions) if predictions else None
    checks, found = verify(done, given), None
    if reference:
        made = _required(given or saved_predictions(done), done)
        found = _by_reference(done, made, open_truth(done, dataset, gt, gt_dir, data_root), workers)
        checks += found.checks
    print_json(_json(done, checks, found)) if json_ else _show(done, checks, found)
    raise typer.Exit(1 if any(check.result == "failed" for check in checks) else 0)


def _required(made: PredictionFolder | None, run: Run) -> PredictionFolder:
    """Return the predictions. Raise DataError with the remedy if there are none."""
    from bench.errors import DataError

    if made is None:
        raise DataError(f"{run.folder}: has no saved predictions; {_how_to_predict(run)}")
    return made


def _by_reference(run: Run, made: PredictionFolder, data: Dataset, workers: int) -> Reference:
    from bench.analysis.reference import verify_reference

    with progress("scoring again") as on_image:
        return verify_reference(run, data, made, workers=workers, on_image=on_image)


def _how_to_predict(run: Run) -> str:
    """Return the remedy for missing predictions, derived from the stored command of the run."""
    command = run.meta.command or ()
    if hasattr(run.meta.model, "predictions"):
        return f"give --predictions FOLDER with what was scored: {shlex.join(command) or 'a call of bench.score'}"
    again = shlex.join([*_without_out(command), "--out", "DIR"]) if command else "the run, into another folder DIR"
    return f"repeat `{again}`, then give --predictions DIR/<data set>/<model>/<hash>/predictions"


def _without_out(command: Sequence[str]) -> list[str]:
    """Return a command without --out and without the options that would prevent new predictions."""
    # --out would write into the same results again, and --overwrite replace the run that is to be verified.
    dropped = ("--out", "--overwrite", "--again", "--no-save-predictions")
    pairs = zip(command, ["", *command], strict=False)
    kept = [word for word, before in pairs if word not in dropped and before != "--out"]
    return [word for word in kept if not word.startswith("--out=")]


def _json(run: Run, checks: Sequence[VerificationCheck], found: Reference | None) -> dict[str, Any]:
    ok = all(check.result != "failed" for check in checks)
    reference = found.to_json() if found else None
    return {"run": str(run.folder), "ok": ok, "checks": [check.to_json() for check in checks], "reference": reference}


def _show(run: Run, checks: Sequence[VerificationCheck], found: Reference | None) -> None:
    title = f"{run.name} on {run.dataset}, {run.folder}"
    print_table(title, ["check", "result", "what"], [[check.name, check.result, check.note] for check in checks])
    for check in checks:
        for finding in check.findings[:SHOWN]:
            print_text(f"{check.name}: {finding}")
        if len(check.findings) > SHOWN:
            print_text(f"{check.name}: and {len(check.findings) - SHOWN} more (--json lists them)")
    if found:
        _show_differences("Largest differences from panopticapi", found.differences)
        if found.deviation:
            _show_differences(f"Protocol {run.score.protocol} against panopticapi (intended)", found.deviation)


def _show_differences(title: str, differences: Sequence[ReferenceDifference]) -> None:
    print_table(
        title, ["quantity", "largest", "at"], [[d.quantity, f"{d.largest:g}", d.at or "–"] for d in differences]
    )
