"""A drawn figure as PNG, as SVG, and as SVG inside a page."""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from xml.sax.saxutils import escape

import matplotlib
from matplotlib.artist import Artist
from matplotlib.figure import Figure

DPI = 150
# Okabe and Ito's colours ("Color Universal Design"): people with the common kinds of colour blindness can distinguish
# them.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000")
STYLE: Any = {  # rcParams; their type names every key of one version of matplotlib
    "font.family": ["DejaVu Sans", "sans-serif"], "font.size": 9, "text.parse_math": False,
    "axes.titlesize": 10, "axes.facecolor": "none", "axes.axisbelow": True,
    "axes.spines.top": False, "axes.spines.right": False,
    "grid.color": "black", "grid.alpha": 0.14, "grid.linewidth": 0.6,
    "legend.frameon": False, "legend.fontsize": 8.5, "svg.fonttype": "none", "svg.hashsalt": "",
}  # fmt: skip
LINE_INCHES = 0.18  # a line of a legend
# Characters that XML 1.0 forbids even as references; one in a label would make the whole page invalid.
NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(eq=False)
class Plot:
    """A figure with a file stem and a title. `tips[k]` is the tooltip of the artist with the gid "tip-k"."""

    name: str
    title: str
    figure: Figure
    tips: list[str] = field(default_factory=list)

    def tip(self, artist: Artist, text: str) -> None:
        artist.set_gid(f"tip-{len(self.tips)}")
        self.tips.append(text)

    def explain(self, marks: Sequence[Artist], labels: Sequence[str], columns: int = 2, numpoints: int = 1) -> None:
        """Put the title above the axes, and under it the label of each mark; the figure grows by their lines.

        Labels that are too long for two columns get one.
        """
        wide = self.figure.get_figwidth()
        columns = 1 if columns == 2 and max(map(len, labels), default=0) > 5.5 * wide else columns
        title = textwrap.fill(self.title, int(10 * wide))
        labels = [textwrap.fill(label, int(12 * wide)) for label in labels]
        lines = sum(label.count("\n") + 1 for label in labels) / columns + title.count("\n") + 1.5
        self.figure.set_figheight(self.figure.get_figheight() + LINE_INCHES * math.ceil(lines))
        self.figure.legend(marks, labels, loc="outside upper left", ncols=columns, title=title, alignment="left",
                           title_fontproperties={"size": 11, "weight": "bold"}, numpoints=numpoints,
                           handlelength=1.4, columnspacing=1.2)  # fmt: skip

    @cached_property
    def svg(self) -> str:
        """The SVG file: transparent, text as text, tooltips as `<title>`. Equal figures give equal bytes."""
        stream = io.StringIO()
        with matplotlib.rc_context(STYLE):
            # Date and version of matplotlib would make equal figures different files.
            self.figure.savefig(stream, format="svg", facecolor="none", metadata={"Date": None, "Creator": None})
        # The layout is a third of the time, and the PNG has the same.
        self.figure.set_layout_engine("none")
        titled = re.sub(
            r'<g id="tip-(\d+)">',
            lambda found: f"{found[0]}<title>{escape(self.tips[int(found[1])])}</title>",
            stream.getvalue(),
        )
        return NOT_XML.sub("\ufffd", titled)

    def __html__(self) -> str:
        """Return the SVG as an element of an HTML page, for templates.

        Ids begin with the plot's name, black is the colour of the page's text, and the style sheet, which would apply
        to the whole page, is gone.
        """
        # Several plots share a page: equal ids would make the clip paths and glyphs of one apply to all.
        root = ElementTree.fromstring(self.svg)
        for parent in list(root.iter()):
            for child in [child for child in parent if child.tag.endswith(("}metadata", "}style"))]:
                parent.remove(child)
        for node in root.iter():
            node.tag = _local(node.tag)
            node.attrib = {_local(name): self._attribute(_local(name), value) for name, value in node.items()}
            if node.find("{*}title") is not None:
                node.set("role", "img")
        root.attrib |= {"role": "group", "aria-label": self.title, "fill": "currentColor", "stroke-linejoin": "round"}
        return ElementTree.tostring(root, encoding="unicode")

    def _attribute(self, name: str, value: str) -> str:
        if name == "id":
            return f"{self.name}-{value}"
        if name in ("href", "clip-path"):
            return value.replace("#", f"#{self.name}-")
        return value.replace("#000000", "currentColor") if name == "style" else value

    def save(self, path: Path) -> Path:
        """Write PNG or SVG by the suffix of `path`. Equal figures give equal bytes."""
        path.parent.mkdir(parents=True, exist_ok=True)
        svg = self.svg
        if path.suffix == ".svg":
            path.write_text(svg, encoding="utf-8", newline="\n")
        else:
            with matplotlib.rc_context(STYLE):
                self.figure.savefig(path, dpi=DPI, facecolor="white", metadata={"Software": None})
        return path


def short(label: str, letters: int = 40) -> str:
    """Return a label of at most `letters` letters, the middle left out."""
    kept = letters - 1
    return label if len(label) <= letters else f"{label[: kept - kept // 3]}…{label[-(kept // 3) :]}"


def _local(name: str) -> str:
    """Return an XML name without its namespace, which HTML does not need."""
    return name.rpartition("}")[2]
