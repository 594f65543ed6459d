"""Say it in the language of the person at the screen: English words, figures -> English or Japanese words."""

from __future__ import annotations

import functools
import logging
import os
from typing import Literal, get_args

from .japanese import JAPANESE

__all__ = [
    "Language",
    "LanguageChoice",
    "choose_language",
    "current_language",
    "tr",
    "use_language",
    "warn_without_font",
]

logger = logging.getLogger(__name__)

Language = Literal["en", "ja"]
LanguageChoice = Literal["en", "ja", "auto"]

_words: dict[str, str] = {}


def choose_language(name: LanguageChoice) -> Language:
    """Return a language; "auto" is that of the desktop: Japanese where LC_ALL, LC_MESSAGES or LANG say so."""
    if name != "auto":
        return name
    wanted = next((os.environ[key] for key in ("LC_ALL", "LC_MESSAGES", "LANG") if os.environ.get(key)), "")
    if wanted:
        return "ja" if wanted.lower().startswith("ja") else "en"
    from pyqtgraph.Qt import QtCore  # Windows and macOS have no such variables, but Qt asks the system

    return "ja" if QtCore.QLocale.system().language() == QtCore.QLocale.Language.Japanese else "en"


def use_language(language: Language) -> None:
    """Say everything in this language from now on; what is on the screen changes when it is drawn again."""
    if language not in get_args(Language):
        raise ValueError(f"language {language!r}, expected one of {', '.join(get_args(Language))}")
    _words.clear()
    if language == "ja":
        _words.update(JAPANESE)


def current_language() -> Language:
    """Return the language that is spoken now."""
    return "ja" if _words else "en"


def warn_without_font(language: Language) -> None:
    """Say in the log, once, that the desktop has no font for a language, if so; there must be a QApplication."""
    from pyqtgraph.Qt import QtGui

    system = QtGui.QFontDatabase.WritingSystem.Japanese
    if language == "ja" and not QtGui.QFontDatabase.families(system):
        _warn_once(
            "no font has Japanese letters: boxes stand in their place (Debian, Ubuntu: apt install fonts-noto-cjk)"
        )


@functools.cache
def _warn_once(words: str) -> None:
    logger.warning("%s", words)


def tr(text: str, **figures: object) -> str:
    """Return a text in the language that is spoken, its placeholders filled in.

    Parameters
    ----------
    text : str
        English, a literal, with placeholders such as ``{n}``; the key of `necomimi.gui.japanese.JAPANESE`.
    **figures
        What the placeholders stand for.
    """
    words = _words.get(text, text)
    return words.format(**figures) if figures else words
