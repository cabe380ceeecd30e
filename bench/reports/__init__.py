"""Reports on finished runs: tables, figures, HTML pages."""
