"""Commands `bench suite` and `bench check`; a study is a suite of trainings."""

from __future__ import annotations

import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.console import (
    print_json,
    print_status,
    print_table,
    print_tables,
    print_text,
)
from bench.cli.progress import progress, training_progress
from bench.cli.run import Device, Json, Limit, Out, Overwrite, open_data, print_unlisted_code

if TYPE_CHECKING:
    from bench.analysis.gate import GateResult
    from bench.analysis.study import Study, StudyOutcome, Training
    from bench.analysis.suite import Outcome, Suite, SuiteRun
    from bench.evaluation.study import StudyOptions
    from bench.types import ProgressCallback


def study(
    where: Path, out: Path, device: str, plan: bool, overwrite: bool, quick: bool, shard: str, as_json: bool
) -> None:
    """Train and score a study and write its page. Raises the first failure at the end.

    A shard writes no page; repeat the command without --shard after all shards are done.
    """
    from bench.analysis.study import load_study
    from bench.evaluation.study import StudyOptions
    from bench.results.shards import WHOLE, parse_shard

    part = parse_shard(shard)
    asked = load_study(where, quick)
    _print_study_plan(asked, quick, as_json and plan)
    if plan:
        return
    place = StudyOptions(out, device, ["bench", *sys.argv[1:]], overwrite, part)
    outcome = _study_outcome(asked, quick, place)
    if part == WHOLE:
        _show_study(outcome, as_json)
    elif as_json:
        print_json({"shard": shard, "trainings": [f"{one.training} seed {one.seed}" for one in outcome.trained]})
    else:
        print_text(f"{len(outcome.trained)} trainings of shard {shard}; without --shard the page is written")
    # After the page, which lists every failure; its class gives the exit code.
    if errors := outcome.errors():
        raise errors[0]


def _study_outcome(asked: Study, quick: bool, place: StudyOptions) -> StudyOutcome:
    from bench.evaluation.study import run_study

    with ExitStack() as bars:

        def watch(planned: SuiteRun) -> ProgressCallback:
            # One bar at a time: rich allows a single live display.
            bars.close()
            open_data(planned.dataset, None, None, None)  # an embedded one is made here, with a bar
            return bars.enter_context(progress(planned.name))

        def train(training: Training, seed: int, recipe: str, folder: Path) -> str:
            bars.close()
            return _train(training, seed, recipe, folder)

        return run_study(asked, quick, place, train, watch)


def _train(training: Training, seed: int, recipe: str, folder: Path) -> str:
    """Return the model family of the weights in `folder`; train them first unless they are finished."""
    from bench.io.config import find_config
    from bench.training.study_arm import arm_recipe, is_finished, note_beginning

    chosen = arm_recipe(find_config("train", recipe), training.set, seed)
    if not is_finished(chosen, folder):
        open_data(chosen.dataset, None, None, None)  # an embedded data set is made here, with a bar
        from bench.training.train import train

        print_status(f"training {training.name}, seed {seed}: {folder}")
        with training_progress() as (on_step, says):
            train(chosen, folder, on_step, None, says)
        note_beginning(chosen, folder)
    return str(chosen.family)


def _print_study_plan(asked: Study, quick: bool, as_json: bool) -> None:
    from bench.io.canonical_json import to_plain

    if as_json:
        return print_json(to_plain(asked))
    seeds = sum(len(training.seeds) for training in asked.trainings)
    print_status(f"{asked.title}: {seeds} trainings{', a quick look without conclusions' if quick else ''}")
    for training in asked.trainings:
        changes = ", ".join(f"{key}={value}" for key, value in training.set.items())
        named = f"{len(training.seeds)} x {training.recipe}" + (f" with {changes}" if changes else "")
        print_status(f"  {training.name}: {named}")


def _show_study(outcome: StudyOutcome, as_json: bool) -> None:
    from bench.reports.study import study_report

    made = study_report(outcome)
    if as_json:
        return print_json(made.to_json())
    print_tables(made.tables)
    for path in made.paths:
        print_text(str(path))


Plan = Annotated[bool, typer.Option("--plan", help="Only print the planned runs.")]


def register(app: typer.Typer) -> None:
    app.command("suite")(suite_command)
    app.command("check")(check_command)


def suite_command(
    suite: Annotated[str, typer.Argument(help="A suite: a YAML file, or the name of a shipped one.")],
    out: Out = Path("results"),
    device: Device = "auto",
    plan: Plan = False,
    overwrite: Overwrite = False,
    quick: Annotated[bool, typer.Option("--quick", help="For a study: few steps and images, as a smoke test.")] = False,
    shard: Annotated[str, typer.Option(help="For a study: only part I of N of its trainings, as I/N.")] = "0/1",
    model: Annotated[
        list[str] | None, typer.Option(help="Model in place of the suite's; repeat it for several.")
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Data set in place of the suite's.")] = None,
    limit: Limit = None,
    strengths: Annotated[str | None, typer.Option(help="Strengths of the corruptions, e.g. 1,2,3,4,5.")] = None,
    json_: Json = False,
) -> None:
    """Run a list of runs, or the trainings of a study. A repeated command resumes; failures do not stop other runs."""
    from bench.analysis.study import is_study
    from bench.analysis.suite import load_suite
    from bench.errors import UsageError
    from bench.io.config import find_config
    from bench.results.shards import WHOLE, parse_shard

    where = find_config("suites", suite)
    if quick or is_study(where):
        if model or dataset or limit or strengths:
            raise UsageError(f"{where}: --model, --dataset, --limit and --strengths are for suites without trainings")
        return study(where, out, device, plan, overwrite, quick, shard, json_)
    if parse_shard(shard) != WHOLE:
        raise UsageError(
            f"--shard {shard}: {where} is a suite without trainings; for a part of one run use `bench run --shard`"
        )
    chosen = load_suite(where).on(model or [], dataset, limit).at(strengths)
    _print_plan(chosen, json_ and plan)
    if not plan:
        _finish(chosen, _run(chosen, out, device, overwrite), out / where.stem, json_)


def check_command(
    suite: Annotated[str, typer.Option(help="A suite: a YAML file, or the name of a shipped one.")] = "ci",
    baseline: Annotated[Path, typer.Option(help="Baseline to compare with.")] = Path("results/baselines/ci.json"),
    out: Annotated[Path | None, typer.Option(help="Keep the runs below this folder.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a summary for a pull request here.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Write the baseline instead of comparing.")] = False,
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """Run a suite and compare every metric with a baseline. Exit code 1 if one exceeds its tolerance."""
    from bench.analysis.gate import compare_to_baseline, read_baseline, write_baseline
    from bench.analysis.suite import load_suite
    from bench.io.config import find_config

    where = find_config("suites", suite)
    chosen = load_suite(where)
    known = {} if update else read_baseline(baseline)
    _print_plan(chosen, False)
    with tempfile.TemporaryDirectory() as scratch:
        # Overwrites: a stored run would compare yesterday's code with the baseline.
        outcomes = _run(chosen, out or Path(scratch), device, True)
        if update:
            write_baseline(baseline, outcomes)
            return print_text(str(baseline))
        verdict = compare_to_baseline(chosen, outcomes, known)
    _write(verdict, junit, markdown)
    _show_verdict(verdict, json_)
    if verdict.failed:
        raise typer.Exit(1)


def _run(chosen: Suite, out: Path, device: str, overwrite: bool) -> list[Outcome]:
    from bench.evaluation.suite import run_suite

    with ExitStack() as bars:

        def watch(planned: SuiteRun) -> ProgressCallback:
            bars.close()
            return bars.enter_context(progress(planned.name))

        command = ["bench", *sys.argv[1:]]
        return run_suite(chosen, out, watch, command=command, overwrite=overwrite, device=device)


def _print_plan(chosen: Suite, as_json: bool) -> None:
    """Print the planned runs on stderr, or as JSON on stdout."""
    from bench.io.canonical_json import to_plain

    if as_json:
        return print_json(to_plain(chosen))
    planned = chosen.planned()
    print_status(f"{chosen.title}: {len(planned)} runs")
    for run in planned:
        limit = f", first {run.limit} images" if run.limit else ""
        print_status(f"  {run.name}: {run.model or run.predictions} on {run.dataset}{limit}")


def _finish(chosen: Suite, outcomes: list[Outcome], folder: Path, as_json: bool) -> None:
    """Show the runs; of corruptions and of a sweep, write the page and show its conclusions.

    Raises the first error afterwards.
    """
    if not chosen.corruptions and not chosen.sweep:
        return _show(outcomes, as_json)
    if chosen.corruptions:
        from bench.reports.suite import robustness_report as report
    else:
        from bench.reports.suite import sweep_report as report

    if (made := report(chosen, outcomes, folder)) is not None:
        if as_json:
            print_json(made.to_json())
        else:
            print_tables(made.tables)
            for line in (*made.sentences, *map(str, made.paths)):
                print_text(line)
    _raise_first(outcomes)


def _raise_first(outcomes: list[Outcome]) -> None:
    # Raised after the table, so that one failure does not hide the other results; its class gives the exit code.
    for outcome in outcomes:
        if outcome.error is not None:
            raise type(outcome.error)(f"{outcome.planned.name}: {outcome.error}") from outcome.error


def _show(outcomes: list[Outcome], as_json: bool) -> None:
    from bench.reports.tables import percent

    for outcome in outcomes:
        if outcome.run is not None:
            print_unlisted_code(outcome.run)
    if as_json:
        print_json([{"name": o.planned.name, "run": o.run and str(o.run.folder),
                     "score": o.run and o.run.score.to_json(), "error": o.error and str(o.error)}
                    for o in outcomes])  # fmt: skip
    else:
        rows = []
        for o in outcomes:
            pq = percent(o.run.score.PQ.all.PQ) if o.run else "failed"
            miou = percent(o.run.score.mIoU.panoptic) if o.run else ""
            rows.append([o.planned.name, o.planned.dataset, pq, miou, str(o.run.folder) if o.run else str(o.error)])
        print_table("", ["run", "data set", "PQ", "mIoU panoptic", "where"], rows)
    _raise_first(outcomes)


def _write(verdict: GateResult, junit: Path | None, markdown: Path | None) -> None:
    from bench.reports.gate import to_markdown, write_junit

    if junit is not None:
        write_junit(verdict, junit)
    if markdown is not None:
        markdown.write_text(to_markdown(verdict), encoding="utf-8")


def _show_verdict(verdict: GateResult, as_json: bool) -> None:
    from bench.reports.gate import headline_table, moved_table

    if as_json:
        return print_json(verdict.to_json())
    tables = [headline_table(verdict)] + ([moved_table(verdict)] if verdict.failed else [])
    print_tables(tables)
    print_text(f"{len(verdict.failed)} of {len(verdict.checks)} metrics moved beyond tolerance")
