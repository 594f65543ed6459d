"""Let windows end as a person or another program wants it: event, a failure -> closed windows, exit status."""

from __future__ import annotations

import sys
import threading
from typing import Any

__all__ = ["WATCH_MS", "open_application"]

WATCH_MS = 50


def open_application(told: threading.Event) -> Any:
    """Return Qt's application, whose windows close when `told` is set; it ends with status 1 when one of them fails."""
    from pyqtgraph.Qt import QtCore, QtWidgets

    application = QtWidgets.QApplication.instance() or QtWidgets.QApplication(["necomimi"])

    def give_up(*error: Any) -> None:
        sys.__excepthook__(*error)
        application.exit(1)

    sys.excepthook = give_up  # PyQt would abort the process, or go on with half a frame
    # Python runs signal handlers between two byte codes only: this timer sees to it that there are some.
    watch = QtCore.QTimer(application, interval=WATCH_MS)
    watch.timeout.connect(lambda: application.closeAllWindows() if told.is_set() else None)
    watch.start()
    return application
