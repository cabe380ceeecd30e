"""PQ of stored runs under the rules of other evaluators, and the ranks that another rule would change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bench.analysis.ranking import ranked_together
from bench.errors import UsageError, error_context
from bench.metrics.pq import GroupQuality
from bench.metrics.rules import RULES, RuleName, rule_tables
from bench.results.run import Run


def qualities(run: Run) -> dict[RuleName, GroupQuality]:
    """Return PQ, SQ and RQ of a run under every rule, from its stored lines."""
    with error_context(run.folder):
        tables = rule_tables(run.lines(), run.categories)
    return {rule: table.groups for rule, table in tables.items()}


def breakdown(run: Run) -> dict[str, Any]:
    """Return the qualities under every rule as plain data, with how each rule differs and its source."""
    return {rule: {**asdict(RULES[rule]), "PQ": asdict(groups)} for rule, groups in qualities(run).items()}


@dataclass(frozen=True)
class RuleRow:
    """One run of a board. `rank` is by the rule of the board, `ranks` by every rule; runs of equal PQ share a rank."""

    rank: int
    name: str
    run: str
    quality: GroupQuality
    PQ: Mapping[RuleName, float]
    ranks: Mapping[RuleName, int]


@dataclass(frozen=True)
class RuleBoard:
    """Ranking of the runs that share ground truth, under one rule; `key` as on the leaderboard."""

    dataset: str
    images: int
    key: str
    rule: RuleName
    rows: tuple[RuleRow, ...]


def rule_boards(runs: Sequence[Run], rule: RuleName, dataset: str | None = None) -> list[RuleBoard]:
    """Return the boards of the leaderboard under a rule. Runs without PQ are left out.

    Raises UsageError for an unknown rule.
    """
    if rule not in RULES:
        raise UsageError(f"unknown rule {rule!r:.40}; it is one of {', '.join(RULES)}")
    with_pq = (run for run in runs if run.done is not None and run.score.PQ.all.n)
    boards = [_board(key[:8], members, rule) for (key, _), members in ranked_together(with_pq, dataset).items()]
    return sorted(boards, key=lambda board: (board.dataset, -board.images, board.key))


def _board(key: str, runs: Sequence[Run], rule: RuleName) -> RuleBoard:
    found = [(run, qualities(run)) for run in runs]
    pq = [{name: groups.all.PQ or 0.0 for name, groups in one.items()} for _, one in found]
    rows = [
        RuleRow(ranks[rule], run.name, run.folder.name, one[rule], values, ranks)
        for (run, one), values in zip(found, pq, strict=True)
        for ranks in [{name: 1 + sum(other[name] > values[name] for other in pq) for name in RULES}]
    ]
    rows.sort(key=lambda row: (row.rank, row.name, row.run))
    return RuleBoard(min(run.dataset for run in runs), runs[0].score.images, key, rule, tuple(rows))
