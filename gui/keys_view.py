"""Say what every key does: sections of keys and words -> a sheet over the window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from .language import tr
from .panel import CENTRE, LEFT, MARGIN, RADIUS, RIGHT, draw_text
from .theme import Theme, font

__all__ = ["KeySection", "KeysView"]

ROW = 24
HEAD = 34
EDGE = 24
COLUMN = 400  # widest
CAP = 8  # pixels at the sides of a key's name
BETWEEN = 36
DOTS = "…"


class KeySection(NamedTuple):
    """Keys that belong together.

    Parameters
    ----------
    title : str
    keys : sequence of (str, str)
        The keys, apart by spaces where there are several ("…" for those between two), and what they do.
    """

    title: str
    keys: Sequence[tuple[str, str]]


class KeysView(QtWidgets.QWidget):
    """A sheet with all keys, over all of its parent; Esc or a click closes it.

    Parameters
    ----------
    parent : QWidget
    theme : Theme
    """

    def __init__(self, parent: Any, theme: Theme) -> None:
        super().__init__(parent)
        self.theme = theme
        self.sections: Sequence[KeySection] = ()
        self._before: Any = None  # what had the focus
        parent.installEventFilter(self)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self.hide()

    def set_theme(self, theme: Theme) -> None:
        """Change the colours."""
        self.theme = theme
        self.update()

    def open(self, sections: Sequence[KeySection]) -> None:
        """Show sections of keys."""
        self.sections = [section for section in sections if section.keys]
        self.setAccessibleName(tr("Keys"))
        if not self.isVisible():
            self._before = QtWidgets.QApplication.focusWidget()
        self.show()
        self.raise_()
        self.setFocus()

    def leave(self) -> None:
        """Go, and give the keys back to what had them."""
        self.hide()
        if self._before is not None:
            self._before.setFocus()

    def eventFilter(self, parent: Any, event: Any) -> bool:
        """Stay as large as the parent."""
        if event.type() == QtCore.QEvent.Type.Resize:
            self.setGeometry(parent.rect())
        return False

    def keyPressEvent(self, event: Any) -> None:
        """Leave on Esc; no other key reaches what lies below."""
        if event.key() == QtCore.Qt.Key.Key_Escape:
            self.leave()

    def mousePressEvent(self, event: Any) -> None:
        """Leave."""
        self.leave()

    def columns(self) -> list[list[KeySection]]:
        """Return the sections, in one column or in two of about the same height."""
        if len(self.sections) < 2:
            return [list(self.sections)]
        heights = [_height([section]) for section in self.sections]
        cuts = range(1, len(heights))
        cut = min(cuts, key=lambda i: max(sum(heights[:i]), sum(heights[i:])))
        return [list(self.sections[:cut]), list(self.sections[cut:])]

    def sheet_rect(self) -> Any:
        """Return the QRectF of the sheet, in the middle, as far as there is room."""
        columns = self.columns()
        width = min(len(columns) * COLUMN + (len(columns) - 1) * BETWEEN + 2 * EDGE, self.width() - 2 * MARGIN)
        height = min(max(_height(column) for column in columns) + HEAD + 2 * EDGE - 8, self.height() - 2 * MARGIN)
        return QtCore.QRectF((self.width() - width) / 2, (self.height() - height) / 2, width, height)

    def paintEvent(self, event: Any) -> None:
        """Draw the sheet."""
        theme, sheet, columns = self.theme, self.sheet_rect(), self.columns()
        painter = QtGui.QPainter(self)
        painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
        painter.fillRect(self.rect(), theme.color("window", 0.75))
        painter.setPen(theme.color("line"))
        painter.setBrush(theme.color("panel"))
        painter.drawRoundedRect(sheet, RADIUS, RADIUS)
        inner = sheet.adjusted(EDGE, EDGE - 6, -EDGE, -EDGE)
        painter.setFont(font(16, bold=True))
        line = QtCore.QRectF(inner.left(), inner.top(), inner.width(), HEAD - 6)
        draw_text(painter, line, tr("Keys"), theme.color("text"), LEFT)
        painter.setFont(font(11))
        draw_text(painter, line.adjusted(80, 0, 0, 0), tr("Esc closes this"), theme.color("muted"), RIGHT)
        width = (inner.width() - (len(columns) - 1) * BETWEEN) / max(len(columns), 1)
        room = inner.height() - HEAD
        row = min(ROW, ROW * room / max(_height(column) for column in columns))
        for i, column in enumerate(columns):
            left = inner.left() + i * (width + BETWEEN)
            self._draw_column(painter, QtCore.QRectF(left, inner.top() + HEAD, width, room), column, row)
        painter.end()

    def _draw_column(self, painter: Any, area: Any, sections: Sequence[KeySection], row: float) -> None:
        """Draw sections one below the other."""
        painter.setFont(font(12))
        metrics = painter.fontMetrics()
        wide = max(_caps_width(metrics, keys) for section in self.sections for keys, _ in section.keys)
        top = area.top()
        for section in sections:
            painter.setFont(font(12, bold=True))
            box = QtCore.QRectF(area.left(), top, area.width(), row)
            draw_text(painter, box, section.title, self.theme.color("accent"), LEFT)
            painter.setFont(font(12))
            for keys, words in section.keys:
                top += row
                box = QtCore.QRectF(area.left(), top, area.width(), row)
                self._draw_caps(painter, box, keys)
                draw_text(painter, box.adjusted(wide + 12, 0, 0, 0), words, self.theme.color("text"), LEFT)
            top += 1.5 * row

    def _draw_caps(self, painter: Any, box: Any, keys: str) -> None:
        """Draw each key's name on a cap of its own."""
        x = box.left()
        for name in keys.split():
            width = _cap_width(painter.fontMetrics(), name)
            cap = QtCore.QRectF(x, box.center().y() - 9, width, 18)
            if name != DOTS:
                painter.setPen(QtCore.Qt.PenStyle.NoPen)
                painter.setBrush(self.theme.blend("line", 0.7))
                painter.drawRoundedRect(cap, 4, 4)
            draw_text(painter, cap, name, self.theme.color("text"), CENTRE)
            x += width + 4


def _height(sections: Sequence[KeySection]) -> float:
    """Return the pixels that sections take, one below the other."""
    return ROW * sum(1.5 + len(section.keys) for section in sections) - (ROW / 2 if sections else 0)


def _cap_width(metrics: Any, name: str) -> float:
    """Return the pixels of a key's cap; dots have none."""
    return float(metrics.horizontalAdvance(name) + (4 if name == DOTS else 2 * CAP))


def _caps_width(metrics: Any, keys: str) -> float:
    """Return the pixels that the caps of some keys take."""
    names = keys.split()
    return sum(_cap_width(metrics, name) for name in names) + 4 * (len(names) - 1)
