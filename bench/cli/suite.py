"""bench suite, bench check."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.output import print_json, print_table, print_tables, print_text, progress, say
from bench.cli.run import Json, Out, Overwrite
from bench.cli.study import study

Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Plan = Annotated[bool, typer.Option("--plan", help="Only print what would run.")]


def register(app: typer.Typer) -> None:
    """Adds the commands of this file."""
    app.command("suite")(suite_command)
    app.command("check")(check_command)


def suite_command(
    suite: Annotated[str, typer.Argument(help="A suite: a YAML file, or the name of a shipped one.")],
    out: Out = Path("results"),
    device: Device = "auto",
    plan: Plan = False,
    overwrite: Overwrite = False,
    quick: Annotated[bool, typer.Option("--quick", help="Of a study: a few steps and images, no conclusion.")] = False,
    shard: Annotated[str, typer.Option(help="Of a study: do part I of N of its trainings, as I/N from 0.")] = "0/1",
    json_: Json = False,
) -> None:
    """Run a list of runs, or a study's trainings; repeated, it resumes, and what fails does not stop the others."""
    from bench.config import find
    from bench.errors import UsageError
    from bench.shards import WHOLE, parse_shard
    from bench.study.plan import is_study
    from bench.suite import load_suite

    where = find("suites", suite)
    if quick or is_study(where):
        return study(where, out, device, plan, overwrite, quick, shard, json_)
    if parse_shard(shard) != WHOLE:
        raise UsageError(f"--shard {shard}: {where} trains nothing; `bench run --shard` does a part of one run")
    chosen = load_suite(where)
    _print_plan(chosen, json_ and plan)
    if not plan:
        _show(_run(chosen, where, out, device, overwrite), json_)


def check_command(
    suite: Annotated[str, typer.Option(help="A suite: a YAML file, or the name of a shipped one.")] = "ci",
    baseline: Annotated[Path, typer.Option(help="What was measured before.")] = Path("results/baselines/ci.json"),
    out: Annotated[Path | None, typer.Option(help="Keep the runs below this folder.")] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write a summary for a pull request here.")] = None,
    update: Annotated[bool, typer.Option("--update", help="Write the baseline instead of comparing.")] = False,
    device: Device = "auto",
    json_: Json = False,
) -> None:
    """Run a suite afresh and compare every metric with a baseline; exit code 1 where one moved too far."""
    from bench.config import find
    from bench.gate import judge, read_baseline, write_baseline
    from bench.suite import load_suite

    where = find("suites", suite)
    chosen = load_suite(where)
    known = {} if update else read_baseline(baseline)
    _print_plan(chosen, False)
    with tempfile.TemporaryDirectory() as scratch:
        outcomes = _run(chosen, where, out or Path(scratch), device, True)
        if update:
            write_baseline(baseline, outcomes)
            return print_text(str(baseline))
        verdict = judge(chosen, outcomes, known)
    _write(verdict, junit, markdown)
    _show_verdict(verdict, json_)
    if verdict.failed:
        raise typer.Exit(1)


def _run(chosen: Any, where: Path, out: Path, device: str, again: bool) -> list[Any]:
    """The outcomes of a suite, with a bar for each run."""
    from contextlib import ExitStack

    from bench.suite import run_suite

    with ExitStack() as bars:

        def watch(planned: Any) -> Any:
            bars.close()
            return bars.enter_context(progress(planned.name))

        command = ["bench", *sys.argv[1:]]
        return run_suite(chosen, where.parent, out, watch, command=command, again=again, device=device)


def _print_plan(chosen: Any, as_json: bool) -> None:
    """What will run: on stderr, so that stdout holds the result alone."""
    from bench.config import plain

    if as_json:
        return print_json(plain(chosen))
    say(f"{chosen.title}: {len(chosen.runs)} runs")
    for run in chosen.runs:
        limit = f", first {run.limit} images" if run.limit else ""
        say(f"  {run.name}: {run.model or run.predictions} on {run.dataset}{limit}")


def _show(outcomes: list[Any], as_json: bool) -> None:
    """A row a run; then the first failure ends the command with its exit code."""
    from bench.report.tables import percent

    if as_json:
        print_json([{"name": o.planned.name, "run": o.run and str(o.run.folder), "score": o.run and o.run.score,
                     "error": o.error and str(o.error)} for o in outcomes])  # fmt: skip
    else:
        rows = []
        for o in outcomes:
            pq = percent(o.run.score["PQ"]["all"]["PQ"]) if o.run else "failed"
            miou = percent(o.run.score["mIoU"]["panoptic"]) if o.run else ""
            rows.append([o.planned.name, o.planned.dataset, pq, miou, str(o.run.folder) if o.run else str(o.error)])
        print_table("", ["run", "data set", "PQ", "mIoU panoptic", "where"], rows)
    if errors := [o.error for o in outcomes if o.error]:
        raise errors[0]


def _write(verdict: Any, junit: Path | None, markdown: Path | None) -> None:
    from bench.report.gate import to_markdown, write_junit

    if junit is not None:
        write_junit(verdict, junit)
    if markdown is not None:
        markdown.write_text(to_markdown(verdict), encoding="utf-8")


def _show_verdict(verdict: Any, as_json: bool) -> None:
    from bench.report.gate import headline_table, moved_table

    if as_json:
        return print_json(verdict.to_json())
    tables = [headline_table(verdict)] + ([moved_table(verdict)] if verdict.failed else [])
    print_tables(tables)
    print_text(f"{len(verdict.failed)} of {len(verdict.checks)} metrics moved beyond tolerance")
