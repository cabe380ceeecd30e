"""Runs → findings: comparison, ranking, verification, gate, contrasts, breakdowns."""
