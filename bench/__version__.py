"""The version; in a file of its own, so that nothing inside imports the package facade."""

from __future__ import annotations

__version__ = "0.1.0"
