"""Canonical JSON of a value, and its SHA-256."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def to_plain(spec: Any) -> Any:
    """Convert a value with nested dataclasses to JSON values."""
    if dataclasses.is_dataclass(spec) and not isinstance(spec, type):
        return {field.name: to_plain(getattr(spec, field.name)) for field in dataclasses.fields(spec)}
    if isinstance(spec, Mapping):
        return {str(key): to_plain(value) for key, value in spec.items()}
    if isinstance(spec, list | tuple):
        return [to_plain(value) for value in spec]
    return str(spec) if isinstance(spec, Path) else spec


def canonical_json(value: Any) -> str:
    """Return the canonical JSON of a value: sorted keys, no spaces. Raise ValueError for NaN and infinities."""
    return json.dumps(to_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def digest(value: Any) -> str:
    """Return the SHA-256 (hex) of the canonical JSON."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
