"""Remember from one day to the next how the window was left: settings file <-> Layout."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar, cast

from pyqtgraph.Qt import QtCore

from .language import LanguageChoice
from .theme import ThemeName

__all__ = ["SETTINGS_VARIABLE", "Layout", "Settings"]

logger = logging.getLogger(__name__)

T = TypeVar("T")

SETTINGS_VARIABLE = "NECOMIMI_VIEWER_SETTINGS"
VERSION = "1"
MAX_PIXELS = 32767


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """What a person has arranged; None or empty where nothing has been.

    Parameters
    ----------
    theme : str or None
        "dark", "light" or "auto".
    language : str or None
        "en", "ja" or "auto".
    geometry : tuple of int or None
        Left, top, width and height of the window when it is not maximized.
    is_maximized, has_menus : bool
        Whether the window fills the screen, and whether it has a menu bar.
    hidden : tuple of str
        Names of the panels that are not shown.
    sizes : mapping of str to tuple of int
        Pixels of the parts of each splitter.
    n_places : int
        Places for painted pictures to which the sizes belong.
    """

    theme: ThemeName | None = None
    language: LanguageChoice | None = None
    geometry: tuple[int, int, int, int] | None = None
    is_maximized: bool = False
    has_menus: bool = True
    hidden: tuple[str, ...] = ()
    sizes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    n_places: int = 0


class Settings:
    """The file in which the layout is kept: INI, in the user's folder for settings.

    Parameters
    ----------
    path : Path, optional
        The file; by default what the environment variable `SETTINGS_VARIABLE` names, or the desktop's own place.
    """

    def __init__(self, path: Path | None = None) -> None:
        named = os.environ.get(SETTINGS_VARIABLE)
        if path is None and named:
            path = Path(named)
        if path is None:
            kind = QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope
            path = Path(QtCore.QSettings(*kind, "necomimi", "viewer").fileName())
        self.path = path
        self._is_foreign = False

    def load(self) -> Layout:
        """Return the layout; what cannot be read is ignored, and that is logged."""
        if not self.path.exists():
            return Layout()
        settings = self._open()
        self._is_foreign = settings.status() != QtCore.QSettings.Status.NoError or settings.value("version") != VERSION
        if self._is_foreign:
            logger.warning("%s is ignored: not settings of this viewer (--reset-layout begins anew)", self.path)
            return Layout()
        settings.beginGroup("sizes")
        names = settings.childKeys()
        settings.endGroup()
        sizes = {name: self._read(settings, f"sizes/{name}", _pixels) for name in names}
        return Layout(
            theme=self._read(settings, "theme", _one_of("dark", "light", "auto")),
            language=self._read(settings, "language", _one_of("en", "ja", "auto")),
            geometry=self._read(settings, "geometry", _geometry),
            is_maximized=self._read(settings, "maximized", _one_of("yes", "no")) == "yes",
            has_menus=self._read(settings, "menus", _one_of("yes", "no")) != "no",
            hidden=tuple(name for name in (self._read(settings, "hidden", str) or "").split(";") if name),
            sizes={name: pixels for name, pixels in sizes.items() if pixels is not None},
            n_places=self._read(settings, "places", int) or 0,
        )

    def _open(self) -> Any:
        return QtCore.QSettings(str(self.path), QtCore.QSettings.Format.IniFormat)

    def _read(self, settings: Any, key: str, parse: Callable[[str], T]) -> T | None:
        """Return one value, or None where there is none that can be read."""
        text = settings.value(key)
        if text is None:
            return None
        try:
            if not isinstance(text, str):
                raise ValueError(f"{text!r}")
            return parse(text)
        except ValueError:
            logger.warning("%s: %s is ignored: %r", self.path, key, text)
            return None

    def save(self, layout: Layout) -> None:
        """Write a layout; a file that is not ours is left as it is."""
        if self._is_foreign:
            return
        settings = self._open()
        settings.clear()
        words = {"theme": layout.theme, "language": layout.language}
        for key, word in words.items():
            if word is not None:
                settings.setValue(key, word)
        settings.setValue("version", VERSION)
        if layout.geometry is not None:
            settings.setValue("geometry", _spell(layout.geometry))
        settings.setValue("maximized", "yes" if layout.is_maximized else "no")
        settings.setValue("menus", "yes" if layout.has_menus else "no")
        settings.setValue("hidden", ";".join(layout.hidden))
        settings.setValue("places", str(layout.n_places))
        for name, pixels in layout.sizes.items():
            settings.setValue(f"sizes/{name}", _spell(pixels))
        settings.sync()
        if settings.status() != QtCore.QSettings.Status.NoError:
            logger.warning("the layout cannot be kept in %s", self.path)

    def forget(self) -> None:
        """Begin anew, whatever the file holds."""
        self._is_foreign = False
        self.save(Layout())


def _spell(numbers: tuple[int, ...]) -> str:
    """Return whole numbers as text that Qt does not take for a list."""
    return " ".join(str(number) for number in numbers)


def _pixels(text: str) -> tuple[int, ...]:
    """Return whole numbers of pixels."""
    numbers = tuple(int(word) for word in text.split())
    if not numbers or any(abs(number) > MAX_PIXELS for number in numbers):
        raise ValueError(text)
    return numbers


def _geometry(text: str) -> tuple[int, int, int, int]:
    """Return left, top, width and height."""
    numbers = _pixels(text)
    if len(numbers) != 4 or min(numbers[2:]) <= 0:
        raise ValueError(text)
    return numbers


def _one_of(*words: T) -> Callable[[str], T]:
    """Return what lets some words pass."""

    def parse(text: str) -> T:
        if text not in words:
            raise ValueError(text)
        return words[words.index(cast("T", text))]

    return parse
