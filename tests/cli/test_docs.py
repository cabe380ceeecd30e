"""Every command, argument and option says what it is for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bench.cli import COMMANDS, application


def commands(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    """The commands below a group, groups included, with their full names."""
    for name, command in group.commands.items():
        yield f"{path} {name}", command
        if hasattr(command, "commands"):
            yield from commands(command, f"{path} {name}")


ALL = dict(commands(application(), "bench"))


def test_the_commands_are_those_of_the_manual() -> None:
    assert {"bench run", "bench predict", "bench score", "bench show", "bench leaderboard", "bench report",
            "bench models", "bench datasets", "bench doctor", "bench train", "bench demo", "bench data make",
            "bench data damage", "bench data map", "bench data check", "bench data stats",
            "bench verify", "bench compare", "bench merge"} <= set(ALL)  # fmt: skip


def test_each_command_is_where_the_table_says() -> None:
    listed = {name for names in COMMANDS.values() for name in names}
    assert listed == {name.split()[1] for name in ALL}
    for module, names in COMMANDS.items():
        alone: Any = application(names[0])
        assert set(alone.commands) == set(names), module


def test_every_command_has_help() -> None:
    assert [name for name, command in ALL.items() if not command.help] == []


def test_every_parameter_has_help() -> None:
    silent = [
        f"{name} {parameter.name}"
        for name, command in ALL.items()
        for parameter in command.params
        if not getattr(parameter, "help", None)
    ]
    assert silent == []


def test_help_is_short_enough_for_a_line_each() -> None:
    long = [
        f"{name} {parameter.name}"
        for name, command in ALL.items()
        for parameter in command.params
        if len(getattr(parameter, "help", None) or "") > 90
    ]
    assert long == []


@pytest.mark.parametrize("group", ["bench", "bench data", "bench env", "bench models"])
def test_no_summary_is_cut_at_80_columns(group: str) -> None:
    found: Any = {"bench": application(), **ALL}[group]
    text = found.get_help(found.make_context(group, ["--help"], resilient_parsing=True, terminal_width=80))
    assert "Commands:" in text and "..." not in text.partition("Commands:")[2]


def test_variables_have_the_names_of_the_flags() -> None:
    flags = {flag for command in ALL.values() for parameter in command.params for flag in parameter.opts}
    named = {p.envvar for command in ALL.values() for p in command.params if isinstance(p.envvar, str)}
    assert {"--set", "--json"} <= flags and {"BENCH_RUN_SET", "BENCH_RUN_JSON", "BENCH_OUT"} <= named
    assert [name for name in named if name.endswith("_")] == []
