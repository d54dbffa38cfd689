"""What an SVG is drawn on: marks from the top of the page downwards, in colours for a light and for a dark page."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Final

LETTER: Final = 0.56
"""Width of a letter as a part of its size, on average, a little generous: fonts differ."""

STYLE: Final = """
.page{fill:#ffffff}.ink{fill:#1f2937}.soft{fill:#4b5563}.on{fill:#ffffff}.good{fill:#15803d}.bad{fill:#b91c1c}
.line{stroke:#dc2626;fill:#ffffff}.over{fill:#dc2626}.within{fill:#fecaca}.gap{stroke:#ffffff}.tick{stroke:#9ca3af}
.free{fill:#e5e7eb}.margin{fill:#cbd5e1}.kept{fill:#94a3b8}.server{fill:#64748b}.elsewhere{fill:#475569}
.beyond{fill:url(#plimsoll-beyond)}.hatch{stroke:#94a3b8}
.halo{fill:#ffffff;stroke:#ffffff;stroke-width:4;stroke-linejoin:round}
@media (prefers-color-scheme:dark){
.page{fill:#0f172a}.ink{fill:#f1f5f9}.soft{fill:#b6c2d2}.good{fill:#4ade80}.bad{fill:#fca5a5}
.line{stroke:#f87171;fill:#0f172a}.over{fill:#ef4444}.within{fill:#7f1d1d}.gap{stroke:#0f172a}.tick{stroke:#64748b}
.free{fill:#1e293b}.margin{fill:#334155}.kept{fill:#475569}.server{fill:#64748b}.elsewhere{fill:#64748b}
.hatch{stroke:#475569}.halo{fill:#0f172a;stroke:#0f172a}
}""".strip()


@dataclass(slots=True)
class Canvas:
    """What is drawn so far, and how far down the page that goes."""

    marks: list[str]
    y: float = 0.0

    def text(
        self, x: float, said: str, *, kind: str = "ink", size: int = 13, anchor: str = "start", bold: bool = False
    ) -> None:
        """A line of text with its foot at the present height."""
        weight = ' font-weight="600"' if bold else ""
        self.marks.append(
            f'<text x="{x:.1f}" y="{self.y:.1f}" class="{kind}" font-size="{size}" text-anchor="{anchor}"{weight}>'
            f"{escape(said)}</text>"
        )

    def text_before_the_line(self, x: float, said: str, *, anchor: str) -> None:
        """Red words with a rim in the page's colour, which keeps the line from running through them."""
        self.text(x, said, kind="halo", anchor=anchor, bold=True)
        self.marks[-1] = self.marks[-1].replace("<text", '<text aria-hidden="true"')
        self.text(x, said, kind="bad", anchor=anchor, bold=True)

    def box(self, x: float, width: float, height: float, *, kind: str = "", fill: str = "", title: str = "") -> None:
        """A filled box from the present height downwards."""
        filled = f'fill="{fill}"' if fill else f'class="{kind}"'
        named = f"<title>{escape(title)}</title>" if title else ""
        self.marks.append(
            f'<rect x="{x:.1f}" y="{self.y:.1f}" width="{width:.1f}" height="{height:.1f}" {filled}>{named}</rect>'
        )


def wide(said: str, size: int) -> float:
    """About how wide a text is."""
    return len(said) * size * LETTER
