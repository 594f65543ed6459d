"""Dark and light: name of a theme -> colours, fonts, Qt palette."""

from __future__ import annotations

import gc
from dataclasses import asdict, dataclass
from typing import Any, Literal

from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

__all__ = ["DARK", "LIGHT", "Theme", "ThemeName", "apply", "choose", "font"]

ThemeName = Literal["dark", "light", "auto"]


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours as "#rrggbb": greys, one accent, and one hue for trouble.

    Parameters
    ----------
    name : str
    window, panel : str
        Backgrounds: behind the panels, and theirs.
    line : str
        Borders, grid, empty bars.
    text, muted, faint : str
        Writing, in falling importance.
    accent : str
        What is right and alive.
    trouble : str
        What was refused, is missing or late.
    trace : str
        EEG.
    """

    name: str
    window: str
    panel: str
    line: str
    text: str
    muted: str
    faint: str
    accent: str
    trouble: str
    trace: str

    def color(self, role: str, alpha: float = 1.0) -> Any:
        """Return the QColor of a role, `alpha` from 0 (clear) to 1."""
        color = QtGui.QColor(getattr(self, role))
        color.setAlphaF(alpha)
        return color

    def blend(self, role: str, weight: float) -> Any:
        """Return a role's colour laid over the panel with a weight from 0 to 1, opaque."""
        top, below = QtGui.QColor(getattr(self, role)), QtGui.QColor(self.panel)
        mixed = [round(weight * a + (1 - weight) * b) for a, b in zip(top.getRgb(), below.getRgb(), strict=True)]
        return QtGui.QColor(*mixed[:3])


DARK = Theme(
    name="dark",
    window="#0e1217",
    panel="#161b22",
    line="#2a323c",
    text="#e7ebf0",
    muted="#93a0ad",
    faint="#56626f",
    accent="#2fc4ae",
    trouble="#f0875c",
    trace="#b4c2cf",
)
LIGHT = Theme(
    name="light",
    window="#e9edf1",
    panel="#ffffff",
    line="#dce2e8",
    text="#18212a",
    muted="#5a6773",
    faint="#9aa6b1",
    accent="#0b8f80",
    trouble="#c6511f",
    trace="#33414e",
)
MENUS = """
QMenuBar {{ background: {window}; color: {muted}; border: 0; padding: 2px 6px; }}
QMenuBar::item {{ padding: 3px 9px; background: transparent; border-radius: 4px; }}
QMenuBar::item:selected, QMenuBar::item:pressed {{ background: {line}; color: {text}; }}
QMenu {{ background: {panel}; color: {text}; border: 1px solid {line}; padding: 4px; }}
QMenu::item {{ padding: 5px 24px 5px 30px; border-radius: 4px; }}
QMenu::item:selected {{ background: {line}; }}
QMenu::item:disabled {{ color: {faint}; background: transparent; }}
QMenu::separator {{ height: 1px; background: {line}; margin: 4px 8px; }}
QMenu::indicator {{ width: 14px; height: 14px; left: 8px; }}
QToolTip {{ background: {panel}; color: {text}; border: 1px solid {line}; padding: 3px; }}
"""


def choose(name: ThemeName) -> Theme:
    """Return a theme; "auto" follows the desktop, and is dark where the desktop does not say."""
    if name == "auto":
        light = QtGui.QGuiApplication.styleHints().colorScheme() == QtCore.Qt.ColorScheme.Light
        return LIGHT if light else DARK
    return LIGHT if name == "light" else DARK


def font(pixels: int, *, bold: bool = False) -> Any:
    """Return the desktop's font at a height in device-independent pixels."""
    chosen = QtGui.QFont(QtWidgets.QApplication.font())
    chosen.setPixelSize(pixels)
    if bold:
        chosen.setWeight(QtGui.QFont.Weight.DemiBold)
    return chosen


def apply(application: Any, theme: Theme) -> None:
    """Give the application's own parts (splitters, menus, tool tips) the theme's colours."""
    palette = _palette(theme)
    # Qt goes through all widgets and tells each, in Python too: were a closed window collected then, Qt would crash.
    is_collecting = gc.isenabled()
    gc.disable()
    try:
        application.setStyle("Fusion")
        application.setPalette(palette)
        application.setStyleSheet(MENUS.format(**asdict(theme)))
    finally:
        if is_collecting:
            gc.enable()


def _palette(theme: Theme) -> Any:
    """Return Qt's palette for a theme."""
    palette = QtGui.QPalette()
    role = QtGui.QPalette.ColorRole
    for target, source in (
        (role.Window, "window"),
        (role.Base, "panel"),
        (role.AlternateBase, "window"),
        (role.Button, "panel"),
        (role.ToolTipBase, "panel"),
        (role.WindowText, "text"),
        (role.Text, "text"),
        (role.ButtonText, "text"),
        (role.ToolTipText, "text"),
        (role.Highlight, "accent"),
        (role.HighlightedText, "panel"),
    ):
        palette.setColor(target, theme.color(source))
    for target in (role.WindowText, role.Text, role.ButtonText):
        palette.setColor(QtGui.QPalette.ColorGroup.Disabled, target, theme.color("faint"))
    palette.setColor(role.PlaceholderText, theme.color("muted"))
    return palette
