"""Analysis of finished runs: comparison, ranking, verification, regression gate, contrasts, breakdowns."""
