"""Put the window back as it was left: Settings, Layout <-> window."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from .settings import Layout, Settings

if TYPE_CHECKING:
    from .shell import Shell

__all__ = ["Arrangement", "splitter", "visible_geometry"]

GAP = 8
FIRST_SIZES = "first_sizes"
GRIP = 60  # pixels of a window that must lie on a screen for it to be within reach


class Arrangement:
    """What a person arranges in a window, from one day to the next.

    Parameters
    ----------
    window : Shell
    """

    def __init__(self, window: Shell) -> None:
        self._window = window
        self._size = window.size()
        self._settings: Settings | None = None
        self._layout = Layout()

    def restore(self, settings: Settings) -> None:
        """Take the layout from a file, and remember where to keep it."""
        window = self._window
        self._settings = settings
        layout = self._layout = settings.load()
        if layout.theme is not None:
            window.set_theme_choice(layout.theme)
        if layout.language is not None:
            window.set_language_choice(layout.language)
        screens = [screen.availableGeometry() for screen in QtGui.QGuiApplication.screens()]
        if layout.geometry is not None and screens:
            window.setGeometry(visible_geometry(QtCore.QRect(*layout.geometry), screens))
        else:
            window.resize(self._first_size())
        if layout.is_maximized:
            window.setWindowState(window.windowState() | QtCore.Qt.WindowState.WindowMaximized)
        window.show_menus(layout.has_menus)
        for name in layout.hidden:
            window.show_panel(name, False)
        for part in self._window.splitters():
            self._set_sizes(part)

    def _first_size(self) -> Any:
        """Return the size of the first day, no larger than the screen."""
        screen = QtGui.QGuiApplication.primaryScreen()
        return self._size if screen is None else self._size.boundedTo(screen.availableGeometry().size())

    def _set_sizes(self, part: Any) -> bool:
        """Give a splitter the sizes it was left with, if they are of as many parts."""
        sizes = self._layout.sizes.get(part.objectName(), ())
        if len(sizes) != part.count():
            return False
        part.setSizes(sizes)
        return True

    def has_room(self, part: Any, n_places: int) -> bool:
        """Return whether a splitter now has the sizes it was left with, for this many places for painted pictures."""
        return self._layout.n_places == n_places and self._set_sizes(part)

    def keep(self) -> None:
        """Write the layout to the file it was taken from, if it was."""
        window = self._window
        if self._settings is None:
            return
        geometry = window.normalGeometry() if window.isMaximized() or window.isFullScreen() else window.geometry()
        n_places = window.n_places
        sizes = {part.objectName(): tuple(part.sizes()) for part in self._window.splitters()}
        if not n_places and self._layout.n_places:  # no pictures came today: theirs are as they were left
            n_places = self._layout.n_places
            sizes |= {"pair": self._layout.sizes.get("pair", ())}
        self._settings.save(
            Layout(
                theme=window.theme_choice,
                language=window.language_choice,
                geometry=(geometry.x(), geometry.y(), geometry.width(), geometry.height()),
                is_maximized=window.isMaximized(),
                has_menus=window.has_menus,
                hidden=tuple(sorted(window.hidden)),
                sizes={name: pixels for name, pixels in sizes.items() if pixels},
                n_places=n_places,
            )
        )

    def reset(self) -> None:
        """Arrange the window as on the first day, and forget how it was."""
        window = self._window
        self._layout = Layout()
        if self._settings is not None:
            self._settings.forget()
        window.showNormal()
        window.resize(self._first_size())
        window.show_menus(True)
        for name in window.hidden:
            window.show_panel(name, True)
        for part in self._window.splitters():
            part.setSizes(part.property(FIRST_SIZES))
        if window.n_places:
            window.make_room(window.n_places)


def splitter(name: str, orientation: Any, parts: tuple[Any, ...], sizes: tuple[int, ...]) -> Any:
    """Return a splitter of some widgets, none of which can be folded away by accident.

    Parameters
    ----------
    name : str
        By which its sizes are remembered.
    orientation : Qt.Orientation
    parts : tuple of QWidget
    sizes : tuple of int
        Pixels on the first day.
    """
    made = QtWidgets.QSplitter(orientation)
    made.setObjectName(name)
    made.setProperty(FIRST_SIZES, list(sizes))
    made.setHandleWidth(GAP)
    made.setStyleSheet("QSplitter::handle { image: none; }")
    made.setChildrenCollapsible(False)
    for part in parts:
        made.addWidget(part)
    made.setSizes(sizes)
    return made


def visible_geometry(wanted: Any, screens: Sequence[Any]) -> Any:
    """Return where to put a window so that it can be reached.

    Parameters
    ----------
    wanted : QRect
        Where it was.
    screens : sequence of QRect
        The screens there are now, the main one first.

    Returns
    -------
    QRect
        `wanted`, no larger than its screen; in the middle of the main screen if it lies on none.
    """
    for screen in screens:
        common = screen.intersected(QtCore.QRect(wanted.x(), wanted.y(), wanted.width(), GRIP))
        if common.width() >= GRIP and common.height() >= GRIP // 2:
            return QtCore.QRect(wanted.topLeft(), wanted.size().boundedTo(screen.size()))
    placed = QtCore.QRect(QtCore.QPoint(0, 0), wanted.size().boundedTo(screens[0].size()))
    placed.moveCenter(screens[0].center())
    return placed
