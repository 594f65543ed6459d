"""Watch the electrodes while a cap is put on: SignalSource -> SignalReport twice a second, in a window."""

from __future__ import annotations

from typing import Any

from pyqtgraph.Qt import QtCore, QtWidgets

from .language import tr
from .signal_report import SignalReport, report_of
from .signal_source import SignalSource
from .signal_view import SignalView
from .theme import DARK, LIGHT, Theme, apply

__all__ = ["SignalWindow"]

JUDGE_MS = 500


class SignalWindow(QtWidgets.QMainWindow):
    """The window of `necomimi signal`: Space or Enter goes on, Q or Esc does not.

    Parameters
    ----------
    source : SignalSource
        Started by `start`, stopped when the window closes.
    theme : Theme
    max_bad : float
        Largest share of bad channels with which a session may begin.
    seconds : float, optional
        Measure for so long from the first samples on, then close: accepted if ready.

    Attributes
    ----------
    report : SignalReport or None
        The newest.
    accepted : bool
        Whether to go on: the person said so, or time was up and the cap is ready.
    """

    def __init__(self, source: SignalSource, theme: Theme, max_bad: float, seconds: float | None = None) -> None:
        super().__init__()
        self.source = source
        self.theme = theme
        self.report: SignalReport | None = None
        self.accepted = False
        self._max_bad = max_bad
        self._time_is_up = QtCore.QTimer(self, singleShot=True, timeout=self._finish)
        if seconds is not None:
            self._time_is_up.setInterval(round(1000 * seconds))
        self._is_timed = seconds is not None
        self.view = SignalView(theme)
        self.setCentralWidget(self.view)
        self.setWindowTitle(tr("necomimi: signal"))
        self.resize(1000, 700)
        apply(QtWidgets.QApplication.instance(), theme)
        self._timer = QtCore.QTimer(self, interval=JUDGE_MS, timeout=self.judge)

    def start(self) -> None:
        """Begin to listen and to judge."""
        self.source.start()
        self._timer.start()

    def judge(self) -> None:
        """Judge the newest seconds and show what was found; close where there is no stream."""
        if self.source.error is not None:
            self.close()
            return
        heard = self.source.latest()
        if heard is None:
            self.report = None
            looking = self.source.info is None
            self.view.show_words(tr("looking for the EEG stream") if looking else tr("the stream sends nothing"))
            return
        if self._is_timed and not self._time_is_up.isActive():
            self._time_is_up.start()
        info, data = heard
        self.report = report_of(info, data, self._max_bad)
        if self.report is None:
            self.view.show_words(tr("measuring"))
        else:
            self.view.show_report(self.report, f"{info.name} · {info.sfreq:g} Hz")

    def _finish(self) -> None:
        """Close with what was measured."""
        self.judge()
        self.accepted = self.report is not None and self.report.ready
        self.close()

    def keyPressEvent(self, event: Any) -> None:
        """Space and Enter go on, Q and Esc cancel, T changes the colours."""
        key = QtCore.Qt.Key
        if event.key() in (key.Key_Space, key.Key_Return, key.Key_Enter):
            self.accepted = True
            self.close()
        elif event.key() in (key.Key_Q, key.Key_Escape):
            self.close()
        elif event.key() == key.Key_T:
            self.theme = LIGHT if self.theme is DARK else DARK
            apply(QtWidgets.QApplication.instance(), self.theme)
            self.view.set_theme(self.theme)
        else:
            super().keyPressEvent(event)

    def closeEvent(self, event: Any) -> None:
        """Stop the timers and the source."""
        self._is_timed = False
        self._timer.stop()
        self._time_is_up.stop()
        self.source.stop()
        event.accept()
