"""Write a report: words, tables, figures -> one HTML file that needs nothing else.

Colours come from the page: whatever a figure draws in `INK`, `MUTED` or `ACCENT` follows the reader's light or dark
scheme, and so does what matplotlib draws in black.
"""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Sequence
from html import escape
from numbers import Number
from pathlib import Path
from typing import TYPE_CHECKING, Any

from necomimi.drawing import ACCENT, INK, MUTED
from necomimi.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

__all__ = ["Report", "require_folders"]

CSS_COLOURS = {INK: "var(--ink)", "#000000": "var(--ink)", MUTED: "var(--muted)", ACCENT: "var(--accent)"}
NUMBER = re.compile(r"[+−-]?\.?\d.*")
STYLE = f"""
:root {{ color-scheme: light dark; --ink: {INK}; --muted: {MUTED}; --accent: {ACCENT}; --page: #ffffff;
  --rule: #d9dde1; }}
@media (prefers-color-scheme: dark) {{
  :root {{ --ink: #e3e6e8; --muted: #98a2ab; --accent: #57b6d6; --page: #15181b; --rule: #373d43; }}
}}
@media print {{
  :root {{ color-scheme: light; --ink: {INK}; --muted: {MUTED}; --accent: {ACCENT}; --page: #ffffff; --rule: #d9dde1; }}
  body {{ margin: 0; max-width: none; font-size: 10pt; }}
  h2 {{ break-after: avoid; }}
  figure, tr {{ break-inside: avoid; }}
}}
body {{ margin: 3rem auto; padding: 0 1.25rem; max-width: 60rem; background: var(--page); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, "DejaVu Sans", sans-serif; }}
h1 {{ font-size: 1.6rem; line-height: 1.25; font-weight: 600; margin: 0 0 .5rem; }}
h2 {{ font-size: 1.15rem; font-weight: 600; margin: 2.75rem 0 .75rem; }}
p {{ margin: 0 0 1rem; max-width: 42rem; overflow-wrap: break-word; }}
.lead {{ color: var(--muted); }}
figure {{ margin: 1.25rem 0 2rem; }}
figcaption {{ color: var(--muted); font-size: .875rem; margin-top: .5rem; max-width: 42rem; }}
.wide {{ overflow-x: auto; }}
table {{ border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .3rem 1.25rem .3rem 0; text-align: left; vertical-align: baseline; }}
th {{ font-weight: 600; border-bottom: 1px solid var(--ink); vertical-align: bottom; }}
td {{ border-bottom: 1px solid var(--rule); }}
caption {{ text-align: left; color: var(--muted); padding-bottom: .4rem; }}
.strong td {{ font-weight: 600; border-bottom-color: var(--ink); }}
tfoot td {{ color: var(--muted); border-bottom: 0; }}
th:last-child, td:last-child {{ padding-right: 0; }}
td:nth-child(-n+2) {{ white-space: nowrap; }}
.number {{ text-align: right; white-space: nowrap; }}
svg {{ display: block; width: 100%; height: auto; fill: var(--ink); }}
img {{ max-width: 100%; height: auto; }}
svg text {{ font-family: inherit !important; }}
"""


def require_folders(*paths: Path | None) -> None:
    """Make sure, before the work, that files can be written later: the folder of each is there; None is no file.

    Raises
    ------
    ConfigError
        A folder is missing.
    """
    for path in paths:
        if path is not None and not path.parent.is_dir():
            raise ConfigError(f"{path}: there is no folder {path.parent}", "a folder that is there")


class Report:
    """A report that grows from top to bottom.

    Parameters
    ----------
    title : str
    lead : str
        What is reported, in a sentence or two below the title.
    language : str
        Of the words, as HTML names it.
    """

    def __init__(self, title: str, lead: str = "", *, language: str = "en") -> None:
        self.title = title
        self._language = language
        self._parts = [f"<h1>{escape(title)}</h1>"]
        if lead:
            self._parts.append(f'<p class="lead">{escape(lead)}</p>')
        self._n_figures = 0

    def section(self, title: str) -> None:
        """Begin a section."""
        self._parts.append(f"<h2>{escape(title)}</h2>")

    def text(self, text: str) -> None:
        """Add a paragraph of plain text; an empty line in it begins another."""
        self._parts += [f"<p>{escape(part.strip())}</p>" for part in text.split("\n\n") if part.strip()]

    def table(
        self, columns: Sequence[str], rows: Sequence[Sequence[Any]], caption: str = "", footer: Sequence[Any] = ()
    ) -> None:
        """Add a table; a column of numbers (or of text that begins with one) is aligned on the right.

        Parameters
        ----------
        columns : sequence of str
        rows : sequence of sequences
            One cell per column, shown as `str` does; None is an empty cell.
        caption : str, optional
        footer : sequence, optional
            A last row, set apart: what the others are compared with.
        """
        rights = [_numeric(cells) for cells in zip(*rows, strict=False)] or [False] * len(columns)
        self._table(columns, rows, rights, caption=caption, footer=footer)

    def printed(self, table: Table) -> None:
        """Add a table that was made for the console; a last line of chance levels is set apart.

        Parameters
        ----------
        table : rich.table.Table
            Of plain text.
        """
        rows = list(zip(*(column.cells for column in table.columns), strict=True))
        footer = rows.pop() if rows and rows[-1][0] == "chance" else ()
        self._table(
            [str(column.header) for column in table.columns],
            rows,
            [column.justify == "right" for column in table.columns],
            title=str(table.title or ""),
            caption=str(table.caption or ""),
            footer=footer,
            strong=[row.style == "bold" for row in table.rows],
        )

    def _table(
        self,
        columns: Sequence[str],
        rows: Sequence[Sequence[Any]],
        rights: Sequence[bool],
        *,
        title: str = "",
        caption: str = "",
        footer: Sequence[Any] = (),
        strong: Sequence[bool] = (),
    ) -> None:
        """Add a table whose alignment is known: `rights` of the columns, `strong` rows."""
        lengths = {len(row) for row in (*rows, footer or columns)}
        if lengths != {len(columns)}:
            raise ValueError(f"rows of {sorted(lengths)} cells under {len(columns)} columns")
        kinds = [' class="number"' if right else "" for right in rights]

        def line(cells: Sequence[Any], tag: str, kind: str = "") -> str:
            filled = zip(kinds, ("" if cell is None else escape(str(cell)) for cell in cells), strict=True)
            return f"<tr{kind}>" + "".join(f"<{tag}{kind}>{cell}</{tag}>" for kind, cell in filled) + "</tr>"

        marks = [' class="strong"' if mark else "" for mark in strong] or [""] * len(rows)
        body = "\n".join(line(row, "td", mark) for row, mark in zip(rows, marks, strict=False))
        foot = f"<tfoot>{line(footer, 'td')}</tfoot>" if footer else ""
        head = f"<caption>{escape(title)}</caption>\n" if title else ""
        self._parts.append(
            f'<figure><div class="wide"><table>\n{head}<thead>{line(columns, "th")}</thead>\n'
            f"<tbody>\n{body}\n</tbody>{foot}</table></div>{_caption(caption)}</figure>"
        )

    def figure(self, figure: Figure, caption: str) -> None:
        """Add a matplotlib figure, as SVG.

        Parameters
        ----------
        figure : matplotlib.figure.Figure
        caption : str
            What is to be seen, also read out in its place.
        """
        self._n_figures += 1
        svg = _inline_svg(figure, caption, f"f{self._n_figures}-")
        self._parts.append(f"<figure>{svg}{_caption(caption)}</figure>")

    def picture(self, png: bytes, caption: str) -> None:
        """Add a picture.

        Parameters
        ----------
        png : bytes
            The contents of a PNG file, which become part of the report.
        caption : str
            What is to be seen, also read out in its place.
        """
        source = "data:image/png;base64," + base64.b64encode(png).decode("ascii")
        self._parts.append(f'<figure><img src="{source}" alt="{escape(caption)}">{_caption(caption)}</figure>')

    def save(self, path: Path | str) -> None:
        """Write the report; it appears under its name only when it is whole.

        Raises
        ------
        ConfigError
            The file cannot be written.
        """
        path = Path(path)
        head = (
            f'<!doctype html>\n<html lang="{escape(self._language)}">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{escape(self.title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
        )
        partial = path.with_name(f"{path.name}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(head + "\n".join(self._parts) + "\n</body>\n</html>\n", encoding="utf-8")
            partial.replace(path)
        except OSError as error:
            raise ConfigError(f"the report {path} cannot be written: {error.strerror}", "a writable path") from error


def _numeric(cells: Sequence[Any]) -> bool:
    """Return whether a column holds numbers, or text that begins with one."""
    filled = [cell for cell in cells if cell is not None and cell != ""]
    return bool(filled) and all(isinstance(cell, Number) or NUMBER.fullmatch(str(cell)) for cell in filled)


def _caption(text: str) -> str:
    """Return a caption, or nothing."""
    lines = "<br>".join(escape(line) for line in text.splitlines())
    return f"<figcaption>{lines}</figcaption>" if text else ""


def _inline_svg(figure: Figure, label: str, prefix: str) -> str:
    """Return a figure as an SVG element for HTML: no metadata, ids of its own, colours of the page."""
    from matplotlib import rc_context

    file = io.StringIO()
    # Several pictures in the same axes are kept as they are, not made one at the resolution of a screen.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": prefix, "image.composite_image": False}):
        figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    svg = file.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'\bid="', f'id="{prefix}', svg)
    svg = re.sub(r'((?:href="|url\()#)', rf"\g<1>{prefix}", svg)
    for colour, variable in CSS_COLOURS.items():
        svg = svg.replace(colour, variable)
    width, height = (72 * float(inches) for inches in figure.get_size_inches())
    # 1.33 CSS pixels to a point: no wider than it was drawn, so that its text is as large as the page's.
    head = (
        f'<svg role="img" aria-label="{escape(label)}" viewBox="0 0 {width:g} {height:g}" '
        f'style="max-width: {width * 4 / 3:g}px">'
    )
    return head + svg[svg.index(">") + 1 :].strip()
