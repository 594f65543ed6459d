"""Show frames by a precise timer, and hear keys: Show -> flips and their times, where no display keeps the time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Literal

from pyqtgraph.Qt import QtCore, QtGui, QtWidgets

from .flips import BLANK, Frame, Show

__all__ = ["Corner", "Diode", "Stage", "TimedStage"]

SPIN_S = 0.002  # a timer may come so much too early or late; the rest of the time is slept
NOMINAL_HZ = 60.0  # of a display that does not say

Corner = Literal["top-left", "top-right", "bottom-left", "bottom-right"]


class Diode:
    """The square under a photodiode.

    Parameters
    ----------
    corner : str
    size : float
        Side, as a share of the screen's height.
    """

    def __init__(self, corner: Corner, size: float) -> None:
        self._is_right, self._is_bottom, self._size = "right" in corner, "bottom" in corner, size

    def rect(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Return its left, top, width and height on a screen of so many pixels."""
        side = max(1, round(self._size * height))
        return width - side if self._is_right else 0, height - side if self._is_bottom else 0, side, side


class Stage:
    """What windows of both kinds share: images by key, a show, keys, and an end."""

    vsync = False
    nominal_hz = NOMINAL_HZ

    def prepare(self, background: Any, diode: Diode | None, clock: Callable[[], float]) -> None:
        """Set what the constructors of Qt's windows have no room for.

        Parameters
        ----------
        background : QColor
        diode : Diode or None
        clock : callable
            Seconds on the LSL clock.
        """
        self.background, self.diode, self.clock = background, diode, clock
        self._show: Show | None = None
        self._loop = QtCore.QEventLoop()

    def pixels(self) -> tuple[int, int]:
        """Return width and height in the screen's own pixels."""
        window: Any = self
        ratio = window.devicePixelRatio()
        return round(ratio * window.width()), round(ratio * window.height())

    def upload(self, key: int, image: Any) -> None:
        """Take a QImage in the screen's own pixels, to be shown in the middle as `key`."""
        raise NotImplementedError

    def forget(self, key: int) -> None:
        """Give an image's memory back."""
        raise NotImplementedError

    def play(self, show: Show) -> None:
        """Play a show to its end."""
        self._show = show
        self._begin()
        self._loop.exec()
        self._show = None

    def stop(self, why: str) -> None:
        """End the show."""
        if self._show is not None:
            self._show.stop(why)
            self._loop.quit()

    def _begin(self) -> None:
        raise NotImplementedError

    def _flipped(self) -> bool:
        """Stamp a flip; return whether the show goes on."""
        now = self.clock()
        if self._show is None:
            return False
        self._show.flipped(now)
        if self._show.done:
            self._loop.quit()
        return not self._show.done

    def keyPressEvent(self, event: Any) -> None:
        """Escape ends the show, other keys are the show's."""
        now = self.clock()
        if event.key() == QtCore.Qt.Key.Key_Escape:
            self.stop("Escape was pressed")
        elif self._show is not None and not event.isAutoRepeat() and event.text():  # Shift alone has no text
            self._show.key(now)

    def closeEvent(self, event: Any) -> None:
        """End the show with the window."""
        self.stop("the window was closed")
        event.accept()


class TimedStage(Stage, QtWidgets.QWidget):
    """A window that draws by a precise timer, where no display keeps the time."""

    def __init__(self, background: Any, diode: Diode | None, clock: Callable[[], float]) -> None:
        QtWidgets.QWidget.__init__(self)
        self.prepare(background, diode, clock)
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self._images: dict[int, Any] = {}
        self._frame: Frame | None = None
        self._due = 0.0
        self._timer = QtCore.QTimer(self, singleShot=True, timeout=self._tick)
        self._timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)

    def upload(self, key: int, image: Any) -> None:
        """Keep an image."""
        self._frame = None
        self._images[key] = QtGui.QImage(image)
        self._images[key].setDevicePixelRatio(self.devicePixelRatio())

    def forget(self, key: int) -> None:
        """Drop an image."""
        self._images.pop(key, None)

    def _begin(self) -> None:
        self._due = time.perf_counter()
        self._timer.start(0)

    def _tick(self) -> None:
        """Draw the frame that is next, if it is another one, at its time."""
        if self._show is None:
            return
        wait = self._due - time.perf_counter()
        if wait > SPIN_S:
            self._timer.start(int(1e3 * (wait - SPIN_S / 2)))
            return
        if wait > 0:
            time.sleep(wait)
        frame = self._show.next_frame()
        if frame != self._frame:
            changed = self._area(self._frame).united(self._area(frame))  # the rest of a large window takes too long
            self._frame = frame
            self.repaint(changed)
        if self._flipped():
            period = 1.0 / self.nominal_hz
            late = time.perf_counter() - self._due
            self._due += period * (1 + max(0, int(late / period)))  # refreshes that are over are not made up for
            self._timer.start(max(0, int(1e3 * (self._due - time.perf_counter() - SPIN_S / 2))))

    def _area(self, frame: Frame | None) -> Any:
        """Return the QRegion that a frame draws into, apart from the background; the whole window for None."""
        if frame is None:
            return QtGui.QRegion(self.rect())
        region = QtGui.QRegion()
        if frame.image in self._images:
            region = region.united(self._place(frame.image).toAlignedRect())
        if self.diode is not None:
            region = region.united(self._square().toAlignedRect())
        return region

    def _place(self, key: int) -> Any:
        """Return where an image stands, in the window's own units."""
        image, ratio = self._images[key], self.devicePixelRatio()
        width, height = self.pixels()
        left, top = (width - image.width()) // 2, (height - image.height()) // 2
        return QtCore.QRectF(left / ratio, top / ratio, image.width() / ratio, image.height() / ratio)

    def _square(self) -> Any:
        """Return where the photodiode's square stands."""
        assert self.diode is not None
        ratio = self.devicePixelRatio()
        return QtCore.QRectF(*(part / ratio for part in self.diode.rect(*self.pixels())))

    def paintEvent(self, event: Any) -> None:
        """Draw the frame."""
        painter = QtGui.QPainter(self)
        painter.fillRect(self.rect(), self.background)
        frame = self._frame or Frame(BLANK, False)
        if frame.image in self._images:
            painter.drawImage(self._place(frame.image).topLeft(), self._images[frame.image])
        if self.diode is not None:
            painter.fillRect(self._square(), QtGui.QColor("white" if frame.diode else "black"))
