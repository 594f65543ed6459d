"""What the window offers whatever it shows: choices of a person -> colours, language, panels, menus, keys, layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from .arrangement import Arrangement
from .keys_view import KeysView
from .language import LanguageChoice, choose_language, current_language, use_language, warn_without_font
from .menus import Menus
from .notice import Notice
from .panel import Panel
from .playback import PlaybackReceiver
from .settings import Settings
from .theme import DARK, Theme, ThemeName, apply, choose

__all__ = ["Shell"]


class Shell(QtWidgets.QMainWindow):
    """A window with menus, whose panels can be hidden, and which remembers how it was left.

    A window that is made of it lays out its `views`, and then calls `finish`.

    Parameters
    ----------
    theme : Theme
    playback : PlaybackReceiver, optional
        The recording that is played, if it is one.

    Attributes
    ----------
    views : tuple of QWidget
        All that draw; those that are a `Panel` can be hidden.
    theme_choice, language_choice : str
        What was chosen, which may be "auto".
    has_menus : bool
        Whether there is a menu bar when the window does not fill the screen.
    hidden : frozenset of str
        Names of the panels that are not wanted.
    n_places : int
        Painted pictures for which there is room.
    notice : Notice
    """

    def __init__(self, theme: Theme, playback: PlaybackReceiver | None = None) -> None:
        super().__init__()
        self.theme = theme
        self.playback = playback
        self.views: tuple[Any, ...] = ()
        self.theme_choice: ThemeName = "dark" if theme is DARK else "light"
        self.language_choice: LanguageChoice = current_language()
        self.has_menus = True
        self.hidden: frozenset[str] = frozenset()
        self.n_places = 0
        self.setWindowTitle("necomimi" if playback is None else f"{playback.file.path.name} – necomimi")

    def finish(self) -> None:
        """Add menus, keys, and what lies over the views."""
        apply(QtWidgets.QApplication.instance(), self.theme)
        self.notice = Notice(self.centralWidget(), self.theme)
        self._keys = KeysView(self.centralWidget(), self.theme)
        self._menus = Menus(self)
        self._arrangement = Arrangement(self)
        self._menus.show_state()
        QtGui.QGuiApplication.styleHints().colorSchemeChanged.connect(self._follow_desktop)

    # -- what a window that is made of it says

    def is_ready(self, panel: Panel) -> bool:
        """Return whether a panel has something to show."""
        return True

    def make_room(self, n_places: int) -> None:
        """Arrange the panels for a number of painted pictures."""

    def seek(self, position: float) -> None:
        """Go to a place in the recording, in seconds from its beginning."""

    def save_screenshot(self, path: Path) -> None:
        """Write what the window shows now as a PNG."""
        raise NotImplementedError

    def save_report(self, path: Path) -> None:
        """Write a report of what was watched as HTML."""
        raise NotImplementedError

    # -- what a person can change

    @property
    def panels(self) -> tuple[Panel, ...]:
        """The views that can be hidden, in their order."""
        return tuple(view for view in self.views if isinstance(view, Panel))

    def set_theme(self, theme: Theme) -> None:
        """Change all colours."""
        self.theme = theme
        apply(QtWidgets.QApplication.instance(), theme)
        for view in (*self.views, self.notice, self._keys):
            view.set_theme(theme)

    def set_theme_choice(self, choice: ThemeName) -> None:
        """Use the colours of a theme, or of the desktop."""
        self.theme_choice = choice
        self.set_theme(choose(choice))
        self._menus.show_state()

    def change_theme(self) -> None:
        """Change from dark to light, or back."""
        self.set_theme_choice("light" if self.theme is DARK else "dark")

    def _follow_desktop(self) -> None:
        """Change the colours with the desktop's, if that is wanted."""
        if self.theme_choice == "auto":
            self.set_theme(choose("auto"))

    def set_language_choice(self, choice: LanguageChoice) -> None:
        """Say everything in a language, or in that of the desktop."""
        self.language_choice = choice
        use_language(choose_language(choice))
        warn_without_font(current_language())
        self._menus.say()
        self._menus.show_state()
        for widget in self.centralWidget().findChildren(QtWidgets.QWidget):
            QtWidgets.QApplication.sendEvent(widget, QtCore.QEvent(QtCore.QEvent.Type.LanguageChange))
            widget.update()
        if self._keys.isVisible():
            self._keys.open(self._menus.key_sections())

    def change_language(self) -> None:
        """Change from English to Japanese, or back."""
        self.set_language_choice("en" if current_language() == "ja" else "ja")

    def show_panel(self, name: str, on: bool) -> None:
        """Show or hide a panel, or let it wait until it has something to show."""
        self.hidden = self.hidden - {name} if on else self.hidden | {name}
        for panel in self.panels:
            if panel.name == name:
                panel.setVisible(on and self.is_ready(panel))
        for part in reversed(self.splitters()):  # those within others first
            part.setVisible(not all(part.widget(i).isHidden() for i in range(part.count())))
        self._menus.show_state()

    def splitters(self) -> list[Any]:
        """Return the splitters between the views, those within others last."""
        return list(self.centralWidget().findChildren(QtWidgets.QSplitter))

    def show_menus(self, on: bool) -> None:
        """Show or hide the menu bar; on a full screen there is none."""
        self.has_menus = on
        self.menuBar().setVisible(on and not self.isFullScreen())
        self._menus.show_state()

    def toggle_exhibition(self) -> None:
        """Fill the screen with what is shown, or return to a window."""
        self.setWindowState(self.windowState() ^ QtCore.Qt.WindowState.WindowFullScreen)

    def toggle_keys(self) -> None:
        """Show what every key does, or no longer."""
        if self._keys.isVisible():
            self._keys.leave()
        else:
            self._keys.open(self._menus.key_sections())

    def restore(self, settings: Settings) -> None:
        """Arrange the window as it was left, and keep its layout when it closes."""
        self._arrangement.restore(settings)

    def reset_layout(self) -> None:
        """Arrange the window as on the first day."""
        self._arrangement.reset()

    def changeEvent(self, event: Any) -> None:
        """Hide the menu bar on a full screen."""
        if event.type() == QtCore.QEvent.Type.WindowStateChange:
            self.show_menus(self.has_menus)
        super().changeEvent(event)
