"""bench suite, where the suite trains."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from bench.cli.output import print_json, print_tables, print_text, progress, say, training_progress
from bench.cli.run import open_data


def study(where: Path, out: Path, device: str, plan: bool, again: bool, quick: bool, shard: str, as_json: bool) -> None:
    """Trains and scores what a study asks for and writes its page; the first failure is raised at the end.

    Of a part of it no page is written: the same command without --shard finds everything done.
    """
    from bench.shards import WHOLE, parse_shard
    from bench.study.carry_out import Place
    from bench.study.plan import load_study

    part = parse_shard(shard)
    asked = load_study(where, quick)
    _print_plan(asked, quick, as_json and plan)
    if plan:
        return
    place = Place(where.parent, out, device, ["bench", *sys.argv[1:]], again, part)
    outcome = _carried_out(asked, quick, place)
    if part == WHOLE:
        _show(outcome, as_json)
    elif as_json:
        print_json({"shard": shard, "trainings": [f"{one.training} seed {one.seed}" for one in outcome.trained]})
    else:
        print_text(f"{len(outcome.trained)} trainings of shard {shard}; without --shard the page is written")
    if errors := outcome.errors():
        raise errors[0]


def _carried_out(asked: Any, quick: bool, place: Any) -> Any:
    """The outcome, with a bar for each training and each run."""
    from bench.study.carry_out import carry_out
    from bench.suite import near

    with ExitStack() as bars:

        def watch(planned: Any) -> Any:
            bars.close()
            open_data(near(place.where, planned.dataset), None, None, None)  # an embedded one is made here, with a bar
            return bars.enter_context(progress(planned.name))

        def train(training: Any, seed: int, recipe: str, folder: Path) -> str:
            bars.close()
            return _train(training, seed, recipe, folder)

        return carry_out(asked, quick, place, train, watch)


def _train(training: Any, seed: int, recipe: str, folder: Path) -> str:
    """The family of the weights in `folder`, trained now unless they were before."""
    from bench.config import find
    from bench.recipes.arms import arm_recipe, is_finished, note_beginning

    chosen = arm_recipe(find("train", recipe), training.set, seed)
    if not is_finished(chosen, folder):
        open_data(chosen.dataset, None, None, None)  # an embedded data set is made here, with a bar
        from bench.recipes.train import train

        say(f"training {training.name}, seed {seed}: {folder}")
        with training_progress() as (on_step, says):
            train(chosen, folder, on_step, None, says)
        note_beginning(chosen, folder)
    return str(chosen.family)


def _print_plan(asked: Any, quick: bool, as_json: bool) -> None:
    from bench.config import plain

    if as_json:
        return print_json(plain(asked))
    seeds = sum(len(training.seeds) for training in asked.trainings)
    say(f"{asked.title}: {seeds} trainings{', a quick look that concludes nothing' if quick else ''}")
    for training in asked.trainings:
        changes = ", ".join(f"{key}={value}" for key, value in training.set.items())
        named = f"{len(training.seeds)} x {training.recipe}" + (f" with {changes}" if changes else "")
        say(f"  {training.name}: {named}")


def _show(outcome: Any, as_json: bool) -> None:
    """The arms, the contrasts and what was written."""
    from bench.report.study.files import study_report

    made = study_report(outcome)
    if as_json:
        return print_json(made.to_json())
    print_tables(made.tables)
    for path in made.paths:
        print_text(str(path))
