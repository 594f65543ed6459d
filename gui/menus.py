"""Offer what the window can do: window -> menus, keys, and the words for both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyqtgraph.Qt import QtGui, QtWidgets

from necomimi.errors import ConfigError

from .keys_view import KeySection
from .language import tr
from .panel import Panel
from .playback import PlaybackReceiver

if TYPE_CHECKING:
    from .shell import Shell

__all__ = ["Menus"]

SIGNS = {"Left": "←", "Right": "→", "Up": "↑", "Down": "↓"}

Words = Callable[[], str]


class Menus:
    """The menu bar of a window; its keys work where the bar is not shown, too.

    Parameters
    ----------
    window : Shell
    """

    def __init__(self, window: Shell) -> None:
        self.window = window
        self._said: list[tuple[Callable[[str], None], Words]] = []  # how to say it, and what
        self._listed: list[tuple[Words, list[tuple[str, Words]]]] = []  # menus, and the keys of each
        self.actions: dict[str, Any] = {}  # by their names, which are in no language
        self._make_file_menu()
        self._make_view_menu()
        if window.playback is not None:
            self._make_playback_menu(window.playback)
        self._make_help_menu()
        self.say()

    # -- making them

    def _menu(self, words: Words, parent: Any = None) -> Any:
        """Add a menu to the bar, or to another menu."""
        menu = (parent or self.window.menuBar()).addMenu("")
        self._said.append((menu.setTitle, words))
        if parent is None:
            self._listed.append((words, []))
        return menu

    def _action(self, menu: Any, name: str, words: Words, run: Callable[[], None], *keys: str) -> Any:
        """Add an action; its first key stands in the menu."""
        action = QtGui.QAction(self.window)
        action.setShortcuts([QtGui.QKeySequence(key) for key in keys])
        action.triggered.connect(lambda *_: run())
        menu.addAction(action)
        self.window.addAction(action)  # else its keys would need the menu bar
        self._said.append((action.setText, words))
        self.actions[name] = action
        if keys:
            self._listed[-1][1].append((_caps(action), words))
        return action

    def _switch(self, menu: Any, name: str, words: Words, run: Callable[[bool], None], *keys: str) -> Any:
        """Add an action that is on or off."""
        action = self._action(menu, name, words, lambda: run(action.isChecked()), *keys)
        action.setCheckable(True)
        return action

    def _make_file_menu(self) -> None:
        menu = self._menu(lambda: tr("&File"))
        self._action(menu, "screenshot", lambda: tr("Screenshot…"), self.save_screenshot, "Ctrl+S")
        self._action(menu, "report", lambda: tr("Session report…"), self.save_report, "Ctrl+R")
        menu.addSeparator()
        self._action(menu, "quit", lambda: tr("Quit"), self.window.close, "Q", "Ctrl+Q")

    def _make_view_menu(self) -> None:
        window = self.window
        menu = self._menu(lambda: tr("&View"))
        themes = self._menu(lambda: tr("Theme"), menu)
        self._choice(
            themes,
            window.set_theme_choice,
            ("dark", lambda: tr("Dark"), ()),
            ("light", lambda: tr("Light"), ()),
            ("auto", lambda: tr("Theme of the desktop"), ("Ctrl+T",)),
        )
        themes.addSeparator()
        self._action(themes, "other theme", lambda: tr("Switch dark and light"), window.change_theme, "T")
        languages = self._menu(lambda: tr("Language"), menu)
        self._choice(
            languages,
            window.set_language_choice,
            ("en", lambda: "English", ()),
            ("ja", lambda: "日本語", ()),
            ("auto language", lambda: tr("Language of the desktop"), ("Ctrl+Shift+L",)),
        )
        languages.addSeparator()
        self._action(
            languages,
            "other language",
            lambda: tr("Switch the language"),
            window.change_language,
            "Ctrl+L",
        )
        self._make_panel_menu(menu)
        self._action(menu, "reset", lambda: tr("Reset the layout"), window.reset_layout, "Ctrl+0")
        menu.addSeparator()
        self._switch(menu, "menus", lambda: tr("Menu bar"), window.show_menus, "M")
        self._action(menu, "exhibition", lambda: tr("Exhibition: the pictures alone"), window.toggle_exhibition, "F11")

    def _make_panel_menu(self, parent: Any) -> None:
        menu = self._menu(lambda: tr("Panels"), parent)
        for number, panel in enumerate(self.window.panels, start=1):
            show = partial(self.window.show_panel, panel.name)
            action = self._switch(menu, panel.name, _title(panel), show)
            action.setShortcut(f"Ctrl+{number}")
        self._listed[-1][1].append((f"Ctrl+1 … Ctrl+{len(self.window.panels)}", lambda: tr("Show or hide a panel")))

    def _choice(self, menu: Any, run: Callable[[Any], None], *entries: tuple[str, Words, Sequence[str]]) -> None:
        """Add actions of which one is on."""
        group = QtGui.QActionGroup(self.window)
        for name, words, keys in entries:
            value = name.split()[0]
            action = self._action(menu, name, words, partial(run, value), *keys)
            action.setCheckable(True)
            group.addAction(action)

    def _make_playback_menu(self, playback: PlaybackReceiver) -> None:
        menu = self._menu(lambda: tr("&Playback"))
        self._action(menu, "play", lambda: tr("Play or pause"), playback.turn, "Space")
        menu.addSeparator()
        for name, seconds, back, on in (("short", 5, ",", "."), ("long", 30, "Shift+Left", "Shift+Right")):
            jump = partial(self._jump, playback)
            self._action(menu, f"{name} back", _jump_words(-seconds), partial(jump, -seconds), back)
            self._action(menu, f"{name} on", _jump_words(seconds), partial(jump, seconds), on)
        menu.addSeparator()
        self._action(menu, "slower", lambda: tr("Slower"), partial(playback.change_speed, -1), "[")
        self._action(menu, "faster", lambda: tr("Faster"), partial(playback.change_speed, 1), "]")

    def _jump(self, playback: PlaybackReceiver, seconds: float) -> None:
        """Go on or back in the recording."""
        self.window.seek(playback.position + seconds)

    def _make_help_menu(self) -> None:
        menu = self._menu(lambda: tr("&Help"))
        self._action(menu, "keys", lambda: tr("Keys"), self.window.toggle_keys, "F1", "?")

    # -- saying them

    def say(self) -> None:
        """Say everything in the language in use."""
        for say, words in self._said:
            say(words())

    def show_state(self) -> None:
        """Check what is on."""
        window = self.window
        self.actions[window.theme_choice].setChecked(True)
        self.actions["auto language" if window.language_choice == "auto" else window.language_choice].setChecked(True)
        self.actions["menus"].setChecked(window.has_menus)
        for panel in window.panels:
            self.actions[panel.name].setChecked(panel.name not in window.hidden)

    def key_sections(self) -> list[KeySection]:
        """Return all keys, with what they do: those of the menus, then those of the panels."""
        sections = [
            KeySection(_plain(title()), [(keys, _plain(words())) for keys, words in listed])
            for title, listed in self._listed
        ]
        return sections + [KeySection(panel.title, panel.key_help()) for panel in self.window.panels]

    # -- files

    def save_screenshot(self) -> None:
        """Ask for a file, and write a picture of the window."""
        path = self._ask(tr("Screenshot"), "png", tr("Pictures (*.png)"))
        if path is not None:
            self._save(path, self.window.save_screenshot)

    def save_report(self) -> None:
        """Ask for a file, and write a report of what was watched."""
        path = self._ask(tr("Session report"), "html", tr("Web pages (*.html)"))
        if path is not None:
            self._save(path, self.window.save_report)

    def _ask(self, title: str, ending: str, kinds: str) -> Path | None:
        """Ask where to save; a name without an ending gets one."""
        dialog = QtWidgets.QFileDialog(self.window, title, str(Path.cwd()), kinds)
        dialog.setAcceptMode(QtWidgets.QFileDialog.AcceptMode.AcceptSave)
        dialog.setDefaultSuffix(ending)
        dialog.selectFile(f"necomimi-{datetime.now():%Y%m%d-%H%M%S}.{ending}")
        accepted = dialog.exec()
        dialog.deleteLater()
        return Path(dialog.selectedFiles()[0]) if accepted else None

    def _save(self, path: Path, write: Callable[[Path], None]) -> None:
        """Write a file, and say whether that went well."""
        try:
            write(path)
        except ConfigError as error:
            self.window.notice.say(error.found, is_trouble=True)
        else:
            self.window.notice.say(tr("saved: {path}", path=path))


def _title(panel: Panel) -> Words:
    """Return what says a panel's title."""
    return lambda: panel.title


def _jump_words(seconds: int) -> Words:
    """Return what says how far a jump goes."""
    return lambda: tr("Forward by {n} s", n=seconds) if seconds > 0 else tr("Back by {n} s", n=-seconds)


def _plain(words: str) -> str:
    """Return the words of a menu without the sign of a letter to press, and without dots."""
    head, sign, _ = words.partition("(&")  # behind Japanese words
    return (head if sign else words.replace("&", "")).removesuffix("…")


def _caps(action: Any) -> str:
    """Return the keys of an action as they are written on a keyboard."""
    names = [key.toString(QtGui.QKeySequence.SequenceFormat.NativeText) for key in action.shortcuts()]
    for word, sign in SIGNS.items():
        names = [name.replace(word, sign) for name in names]
    return " ".join(names)
