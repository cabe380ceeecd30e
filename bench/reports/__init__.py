"""Findings → tables, figures, pages."""
