"""Figures of the records."""

from __future__ import annotations

from pathlib import Path


def draw(output: Path) -> list[Path]:
    return []
