"""Say what needs a person: age of the samples, words of other parts -> warnings, told once in the log."""

from __future__ import annotations

import logging
from collections.abc import Callable

__all__ = ["Alarms"]

logger = logging.getLogger(__name__)

LAG_S = 1.0  # a newest sample older than this, while samples come, is worth an alarm


class Alarms:
    """Keep what is wrong now.

    Parameters
    ----------
    notices : callable
        Says what else needs a person; "" for nothing.
    """

    def __init__(self, notices: Callable[[], str]) -> None:
        self._notices = notices
        self._notice = ""
        self._lags = False
        self._age = 0.0

    def watch_age(self, age: float) -> None:
        """Raise the alarm when samples are old as they come, `age` seconds, and take it back when they are not."""
        lags = age > (LAG_S / 2 if self._lags else LAG_S)
        self._age = age
        if lags != self._lags:
            self._lags = lags
            if lags:
                logger.warning("lag: the newest sample is %.1f s old when it is read; answers are as late", age)
            else:
                logger.info("no lag any more: the newest sample is %.2f s old", age)

    def ask(self) -> None:
        """Ask for notices."""
        notice = self._notices()
        if notice and notice != self._notice:
            logger.error("%s", notice)
        self._notice = notice

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong, in words."""
        lag = f"lag: the newest sample is {self._age:.1f} s old when it is read" if self._lags else ""
        return tuple(filter(None, (lag, self._notice)))
