"""Choose how the EEG is shown: keys, wheel, menus -> scale, window, order, reference, filters."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
from pyqtgraph.Qt import QtCore

from .channel_watch import ChannelWatch
from .display_filter import AVERAGE, HIGHPASS_HZ, LOWPASS_HZ, NOTCH_HZ, DisplaySettings
from .display_state import DisplayState
from .language import tr
from .panel import Panel, Wheel
from .ruler import SCALES
from .theme import Theme

__all__ = ["WINDOWS_S", "TraceControls"]

WINDOWS_S = (5.0, 10.0, 20.0)
DEVIATIONS = (2.0, 4.0)  # the height of a fitted row in standard deviations: narrow rows may overlap, high need not
HIGH_ROW = 40  # pixels
FIT_AFTER_S = 2.0
VERTEX = "Cz"  # what the key R offers beside the average

T = TypeVar("T")


class TraceControls(Panel):
    """What a person can change about the EEG panel: how the signal is shown, and nothing else.

    Attributes
    ----------
    window_s : float
        Seconds that are shown.
    scale : float or None
        Unit of the signal per row; None until it has been fitted.
    settings : DisplaySettings
        Reference and filters.
    is_by_region : bool
        Whether the rows go from the front of the head to its back, or as the stream has them.
    watch : ChannelWatch
        Which channels are bad, and the figures of all.
    """

    def __init__(self, state: DisplayState, theme: Theme) -> None:
        super().__init__("EEG", state, theme)
        self.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
        self.window_s = 10.0
        self.scale: float | None = None
        self.settings = DisplaySettings()
        self.is_by_region = True
        self.watch = ChannelWatch()
        self._wheel = Wheel()

    def key_help(self) -> tuple[tuple[str, str], ...]:
        """Return the keys and what each does."""
        return (
            ("↑ ↓", tr("larger or smaller traces (or the wheel)")),
            ("← →", tr("more or fewer seconds")),
            ("A", tr("fit the scale to the signal")),
            ("G", tr("rows by region, or in stream order")),
            ("R", tr("reference: as recorded, average, Cz")),
            ("H", tr("high-pass: off, 0.1, 1 Hz")),
            ("L", tr("low-pass: off, 30, 40, 100 Hz")),
            ("N", tr("notch: off, 50, 60 Hz")),
            (tr("click"), tr("on a name: bad channel, yes or no")),
        )

    def row_height(self) -> float:
        """Return pixels per channel."""
        raise NotImplementedError

    def zoom(self, steps: int) -> None:
        """Show the traces larger (positive) or smaller by steps of 1, 2, 5."""
        if self.scale is not None:
            nearest = int(np.argmin([abs(math.log(self.scale / scale)) for scale in SCALES]))
            self.scale = SCALES[min(max(nearest - steps, 0), len(SCALES) - 1)]
            self.update()

    def widen(self, steps: int) -> None:
        """Show more (positive) or fewer seconds."""
        place = WINDOWS_S.index(self.window_s) + steps
        self.window_s = WINDOWS_S[min(max(place, 0), len(WINDOWS_S) - 1)]
        self.update()

    def fit(self) -> None:
        """Choose the scale from the signal of the last seconds."""
        ring = self.state.eeg
        amplitude = None if ring is None else ring.amplitude(FIT_AFTER_S)
        if amplitude is not None:
            deviations = np.interp(self.row_height(), (0, HIGH_ROW), DEVIATIONS)
            self.scale = next((s for s in SCALES if s >= deviations * amplitude), SCALES[-1])
            self.update()

    def set_by_region(self, is_by_region: bool) -> None:
        """Order the rows by region of the head, or as the stream has them."""
        self.is_by_region = is_by_region
        self.update()

    def set_reference(self, reference: str | None) -> None:
        """Show the signal against the average ("average") or a channel, by name; None is the amplifier's reference."""
        self._set(replace(self.settings, reference=reference))

    def set_highpass(self, hz: float | None) -> None:
        """Leave out what is slower; None is off."""
        self._set(replace(self.settings, highpass=hz))

    def set_lowpass(self, hz: float | None) -> None:
        """Leave out what is faster; None is off."""
        self._set(replace(self.settings, lowpass=hz))

    def set_notch(self, hz: float | None) -> None:
        """Leave out the mains; None is off."""
        self._set(replace(self.settings, notch=hz))

    def toggle_bad(self, name: str) -> None:
        """Mark a channel as bad by hand, or no longer."""
        self.watch.toggle(name)
        self.show_settings()

    def _set(self, settings: DisplaySettings) -> None:
        """Change reference or filters, the seconds that are kept included."""
        self.settings = settings
        self.show_settings()

    def show_settings(self) -> None:
        """Tell the ring what to draw."""
        if self.state.eeg is not None:
            self.state.eeg.show(self.settings, self.watch.reasons)
        self.update()

    def _cycle_reference(self) -> None:
        """Go from the amplifier's reference to the average, to the vertex where it is a channel, and back."""
        ring = self.state.eeg
        has_vertex = ring is not None and VERTEX in ring.info.ch_names
        self.set_reference(_next((None, AVERAGE, VERTEX) if has_vertex else (None, AVERAGE), self.settings.reference))

    def keyPressEvent(self, event: Any) -> None:
        """Change how the signal is shown."""
        key = QtCore.Qt.Key
        settings = self.settings
        actions: dict[Any, Callable[[], None]] = {
            key.Key_Up: lambda: self.zoom(1),
            key.Key_Down: lambda: self.zoom(-1),
            key.Key_Left: lambda: self.widen(1),
            key.Key_Right: lambda: self.widen(-1),
            key.Key_A: self.fit,
            key.Key_G: lambda: self.set_by_region(not self.is_by_region),
            key.Key_R: self._cycle_reference,
            key.Key_H: lambda: self.set_highpass(_next(HIGHPASS_HZ, settings.highpass)),
            key.Key_L: lambda: self.set_lowpass(_next(LOWPASS_HZ, settings.lowpass)),
            key.Key_N: lambda: self.set_notch(_next(NOTCH_HZ, settings.notch)),
        }
        modifiers = event.modifiers() & ~QtCore.Qt.KeyboardModifier.KeypadModifier
        if event.key() in actions and modifiers == QtCore.Qt.KeyboardModifier.NoModifier:
            actions[event.key()]()
        else:
            super().keyPressEvent(event)

    def wheelEvent(self, event: Any) -> None:
        """Change the scale, one step a notch."""
        notches = self._wheel.turn(event.angleDelta().y())
        if notches:
            self.zoom(notches)
        event.accept()


def _next(values: Sequence[T], value: T) -> T:
    """Return the value that follows, the first after the last, and for one that is not among them."""
    return values[(values.index(value) + 1) % len(values)] if value in values else values[0]
