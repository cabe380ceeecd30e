"""Version number, in a module of its own so that no internal module imports the package facade."""

from __future__ import annotations

__version__ = "0.1.0"
