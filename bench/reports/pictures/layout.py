"""Layout of pictures: panels with captions, wrapped legends, rows of thumbnails. Sizes in pixels."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image as PilImage
from PIL import ImageDraw, ImageFont

from bench.io.files import write_atomic
from bench.types import RGB

Swatch = tuple[tuple[int, int, int], str]  # colour, text

MARGIN, GAP = 16, 8
TEXT, TITLE = 15, 22  # font sizes
INK, PAPER = (30, 30, 30), (255, 255, 255)


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont:
    """Load DejaVu Sans from matplotlib, which has the same glyphs on every machine."""
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name), size)


def page(title: str, captions: Sequence[str], panels: Sequence[RGB], legends: Sequence[Sequence[Swatch]]) -> RGB:
    """Draw a title, panels of equal size in two columns, and the legends below."""
    height, width, _ = panels[0].shape
    step = height + TEXT + 2 * GAP
    grid_width = 2 * width + GAP
    lines = [line for legend in legends for line in wrapped(legend, grid_width)]
    top = MARGIN + TITLE + 2 * GAP
    below = top + (len(panels) + 1) // 2 * step
    canvas = blank(below + len(lines) * (TEXT + GAP) + MARGIN, grid_width + 2 * MARGIN)
    draw = ImageDraw.Draw(canvas)
    draw.text((MARGIN, MARGIN), title, INK, font(TITLE, bold=True))
    for k, (caption, panel) in enumerate(zip(captions, panels, strict=True)):
        x, y = MARGIN + k % 2 * (width + GAP), top + k // 2 * step
        draw.text((x, y), caption, INK, font(TEXT))
        canvas.paste(PilImage.fromarray(panel), (x, y + TEXT + GAP))
    for k, line in enumerate(lines):
        _draw_legend(draw, line, MARGIN, below + k * (TEXT + GAP))
    return np.asarray(canvas)


def hstack(panels: Sequence[RGB], title: str = "") -> RGB:
    """Join panels of equal height in a row without margins, with a line of text above if given."""
    width = sum(panel.shape[1] for panel in panels) + GAP * (len(panels) - 1)
    top = TEXT + GAP if title else 0
    canvas = blank(panels[0].shape[0] + top, width)
    ImageDraw.Draw(canvas).text((0, 0), title, INK, font(TEXT))
    x = 0
    for panel in panels:
        canvas.paste(PilImage.fromarray(panel), (x, top))
        x += panel.shape[1] + GAP
    return np.asarray(canvas)


def vstack(rows: Sequence[RGB], legend: Sequence[Swatch] = (), title: str = "") -> RGB:
    """Stack rows below a title, with a legend at the bottom."""
    width = max(row.shape[1] for row in rows)
    lines = wrapped(legend, width)
    top = MARGIN + (TITLE + 2 * GAP if title else 0)
    height = top + sum(row.shape[0] + GAP for row in rows) + len(lines) * (TEXT + GAP)
    canvas = blank(height + MARGIN, width + 2 * MARGIN)
    ImageDraw.Draw(canvas).text((MARGIN, MARGIN), title, INK, font(TITLE, bold=True))
    y = top
    for row in rows:
        canvas.paste(PilImage.fromarray(row), (MARGIN, y))
        y += row.shape[0] + GAP
    for k, line in enumerate(lines):
        _draw_legend(ImageDraw.Draw(canvas), line, MARGIN, y + GAP + k * (TEXT + GAP))
    return np.asarray(canvas)


def blank(height: int, width: int) -> PilImage.Image:
    return PilImage.new("RGB", (width, height), PAPER)


def wrapped(legend: Sequence[Swatch], width: int) -> list[list[Swatch]]:
    """Split legend entries into lines of at most `width` px."""
    lines: list[list[Swatch]] = []
    room = 0
    for swatch in legend:
        needs = _entry_width(swatch)
        if not lines or needs > room:
            lines.append([])
            room = width
        lines[-1].append(swatch)
        room -= needs
    return lines


def _entry_width(swatch: Swatch) -> int:
    return TEXT + GAP + round(font(TEXT).getlength(swatch[1])) + 2 * GAP


def _draw_legend(draw: ImageDraw.ImageDraw, line: Sequence[Swatch], x: int, y: int) -> None:
    for swatch in line:
        color, text = swatch
        draw.rectangle((x, y + 1, x + TEXT - 1, y + TEXT), fill=color, outline=(120, 120, 120))
        draw.text((x + TEXT + GAP // 2, y), text, INK, font(TEXT))
        x += _entry_width(swatch)


def write(path: Path, picture: RGB) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with write_atomic(path) as temporary:
        PilImage.fromarray(picture).save(temporary, format="PNG", compress_level=3)
    return path
