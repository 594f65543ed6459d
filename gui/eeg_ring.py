"""Keep the newest seconds of EEG and its outline per pixel column: Chunk -> EEGRing."""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

from necomimi.records import Chunk, StreamInfo

from .display_filter import AVERAGE, DisplayFilter, DisplaySettings, Piece

__all__ = ["VOLTS_TO_MICROVOLTS", "EEGRing", "Outline"]

JITTER_S = 0.005  # time stamps of healthy devices wander by this much
MAX_GAPS = 256
VOLTS_TO_MICROVOLTS = 1e6
WARM_UP_S = 1.0  # what the filters hear before what is asked for, where it is known
BLOCK_S = 1.0  # filtered at once: what stays in the processor's cache is quicker


def _gap_threshold(sfreq: float) -> float:
    """Return the step between two stamps, in seconds, beyond which samples are missing."""
    return (1.5 / sfreq if sfreq > 0 else 0.0) + JITTER_S


class Outline:
    """The lowest and highest value of each channel in each column of a time grid.

    Columns are numbered ``floor(t / column_s)`` on the LSL clock, so that a column looks the same wherever it has
    scrolled to. Between two samples the signal is taken as a straight line; across a gap there is nothing.

    Parameters
    ----------
    n_channels : int
    column_s : float
        Width of a column in seconds.
    n_columns : int
        Newest columns that are kept.
    gap_s : float
        Two samples further apart than this (seconds) are not joined.

    Attributes
    ----------
    changed_from : int or None
        The oldest column that has changed since whoever draws them last set this to None.
    """

    def __init__(self, n_channels: int, column_s: float, n_columns: int, gap_s: float) -> None:
        self.column_s = column_s
        self.n_columns = n_columns
        self.changed_from: int | None = None
        self._gap_s = gap_s
        self._low = np.full((n_channels, n_columns), np.nan, dtype=np.float32)
        self._high = self._low.copy()
        self._newest: int | None = None  # number of the newest column
        self._last: tuple[float, NDArray[np.float32]] | None = None  # time, (n_channels,) of the newest sample

    def add(self, times: NDArray[np.float64], data: NDArray[np.float32]) -> None:
        """Enter consecutive samples.

        Parameters
        ----------
        times : ndarray of float64, shape (n_times,)
            Seconds on the LSL clock.
        data : ndarray of float32, shape (n_channels, n_times)
            Any unit; NaN is passed over.
        """
        if not len(times):
            return
        n_old = 0
        if self._last is not None:
            times = np.concatenate([[self._last[0]], times])
            data = np.concatenate([self._last[1][:, None], data], axis=1)
            n_old = 1
        self._last = (float(times[-1]), data[:, -1])

        columns = np.floor(times / self.column_s).astype(np.int64)
        steps = np.diff(times)
        joined = (steps > 0) & (steps <= self._gap_s)
        # Where the line from one sample to the next crosses column borders, it belongs to the columns on both sides.
        n_crossed = np.where(joined, np.diff(columns), 0)
        pair = np.repeat(np.arange(len(steps)), n_crossed)
        nth = np.arange(len(pair)) - np.repeat(np.cumsum(n_crossed) - n_crossed, n_crossed)
        border = columns[pair] + 1 + nth
        fraction = ((border * self.column_s - times[pair]) / steps[pair]).astype(np.float32)
        crossing = data[:, pair] + fraction * (data[:, pair + 1] - data[:, pair])

        columns = np.concatenate([columns[n_old:], border - 1, border])
        values = np.concatenate([data[:, n_old:], crossing, crossing], axis=1)
        order = np.argsort(columns, kind="stable")
        columns, values = columns[order], values[:, order]
        starts = np.flatnonzero(np.diff(columns, prepend=columns[0] - 1))
        self._merge(columns[starts], np.fmin.reduceat(values, starts, axis=1), np.fmax.reduceat(values, starts, axis=1))

    def _merge(self, columns: NDArray[np.int64], low: NDArray[np.float32], high: NDArray[np.float32]) -> None:
        """Enter the extremes of some columns, given in ascending order."""
        newest = int(columns[-1])
        self.changed_from = int(columns[0]) if self.changed_from is None else min(self.changed_from, int(columns[0]))
        if self._newest is None:
            self._newest = newest
        elif newest > self._newest:
            fresh = np.arange(max(self._newest + 1, newest - self.n_columns + 1), newest + 1) % self.n_columns
            self._low[:, fresh] = np.nan
            self._high[:, fresh] = np.nan
            self._newest = newest
        kept = columns > self._newest - self.n_columns
        place = columns[kept] % self.n_columns
        self._low[:, place] = np.fmin(self._low[:, place], low[:, kept])
        self._high[:, place] = np.fmax(self._high[:, place], high[:, kept])

    def read(self, first: int, n: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the extremes of columns ``first`` to ``first + n - 1``.

        Returns
        -------
        low, high : ndarray of float32, shape (n_channels, n)
            NaN where nothing is known.
        """
        columns = np.arange(first, first + n)
        place = columns % self.n_columns
        low, high = np.take(self._low, place, axis=1), np.take(self._high, place, axis=1)
        newest = -math.inf if self._newest is None else self._newest
        unknown = (columns > newest) | (columns <= newest - self.n_columns)
        low[:, unknown] = np.nan
        high[:, unknown] = np.nan
        return low, high


class EEGRing:
    """The newest seconds of one stream: samples as they came, and an outline of them as they are to be drawn.

    Parameters
    ----------
    info : StreamInfo
        The stream; chunks of another layout need another ring.
    seconds : float
        How much to keep.

    Attributes
    ----------
    gaps : deque of (float, float)
        Times of the last sample before and the first after each hole, oldest first.
    newest : float or None
        Time of the newest sample in seconds on the LSL clock.
    """

    def __init__(self, info: StreamInfo, seconds: float) -> None:
        self.info = info
        self.gaps: deque[tuple[float, float]] = deque(maxlen=MAX_GAPS)
        self.newest: float | None = None
        self.n_seen = 0
        self._gap_s = _gap_threshold(info.sfreq)
        capacity = max(2, math.ceil(seconds * info.sfreq))
        self._data = np.zeros((len(info.ch_names), capacity), dtype=np.float32)
        self._times = np.zeros(capacity, dtype=np.float64)
        self._outline: Outline | None = None
        self._display = (DisplaySettings(), frozenset[str]())
        self._filter = self._new_filter()

    @property
    def unit(self) -> str:
        """Unit of the values: whitened signals have none."""
        return "a.u." if "whiten" in self.info.applied else "µV"

    def serves(self, info: StreamInfo) -> bool:
        """Return whether chunks of `info` have this ring's layout."""
        ours = self.info
        return (info.ch_names, info.sfreq, info.applied) == (ours.ch_names, ours.sfreq, ours.applied)

    def add(self, chunk: Chunk) -> None:
        """Enter a chunk; volts become microvolts, and values that are not finite become NaN."""
        times = chunk.timestamps
        if not len(times):
            return
        factor = 1.0 if self.unit == "a.u." else VOLTS_TO_MICROVOLTS
        data = np.multiply(chunk.data, np.float32(factor))
        data[~np.isfinite(data)] = np.nan
        before = times if self.newest is None else np.concatenate([[self.newest], times])
        for i in np.flatnonzero(np.diff(before) > self._gap_s):
            self.gaps.append((float(before[i]), float(before[i + 1])))
        capacity = len(self._times)
        place = (self.n_seen + np.arange(len(times))[-capacity:]) % capacity
        self._data[:, place] = data[:, -capacity:]
        self._times[place] = times[-capacity:]
        self.n_seen += len(times)
        self.newest = float(times[-1])
        if self._outline is not None:
            for some, drawn in self._filtered(self._filter, times, data, before=float(before[0])):
                self._outline.add(some, drawn)

    def show(self, settings: DisplaySettings, bad: Collection[str] = ()) -> None:
        """Choose what the outline is of, the seconds that are kept included; the samples stay what they are.

        Parameters
        ----------
        settings : DisplaySettings
        bad : collection of str
            Channels that an average reference leaves out.
        """
        display = (settings, frozenset(bad if settings.reference == AVERAGE else ()))
        if display != self._display:
            self._display, self._outline = display, None

    @property
    def shown(self) -> DisplaySettings:
        """What is done to this stream before it is drawn."""
        return self._display[0].possible(self.info.ch_names, self.info.sfreq / self.info.speed)

    def _new_filter(self) -> DisplayFilter:
        """Return a filter that has heard nothing yet."""
        settings, bad = self._display
        return DisplayFilter(settings, self.info.ch_names, self.info.sfreq / self.info.speed, bad)

    def _filtered(
        self, display_filter: DisplayFilter, times: NDArray[np.float64], data: NDArray[np.float32], before: float
    ) -> Iterator[Piece]:
        """Give samples as they are to be drawn, piece by piece: after a hole the filter begins anew."""
        holes = np.flatnonzero(np.diff(times, prepend=before) > self._gap_s)
        for start, stop in zip([0, *holes], [*holes, len(times)], strict=True):
            if start in holes and (last := display_filter.finish()) is not None:
                yield last
            if stop > start:
                yield display_filter.add(times[start:stop], data[:, start:stop])

    def latest(self, seconds: float) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Return the samples of the newest `seconds`, as far as they are kept.

        Returns
        -------
        times : ndarray of float64, shape (n_times,)
        data : ndarray of float32, shape (n_channels, n_times)
            In `unit`.
        """
        capacity = len(self._times)
        n = min(self.n_seen, capacity, math.ceil(seconds * self.info.sfreq))
        place = np.arange(self.n_seen - n, self.n_seen) % capacity
        return self._times[place], self._data[:, place]

    def outline(self, column_s: float, n_columns: int) -> Outline:
        """Return the outline on a time grid; it is kept up to date until another grid is asked for."""
        if self._outline is None or (self._outline.column_s, self._outline.n_columns) != (column_s, n_columns):
            self._outline = Outline(len(self.info.ch_names), column_s, n_columns, self._gap_s)
            self._filter = self._new_filter()
            times, data = self.latest(column_s * n_columns + WARM_UP_S)
            block = max(1, round(BLOCK_S * self.info.sfreq))
            for i in range(0, len(times), block):
                some = slice(i, i + block)
                before = float(times[max(i - 1, 0)])
                for piece, drawn in self._filtered(self._filter, times[some], data[:, some], before):
                    self._outline.add(piece, drawn)
        return self._outline

    def amplitude(self, seconds: float) -> float | None:
        """Return the typical standard deviation of a channel over the newest `seconds` as drawn, in `unit`.

        The median over channels, so that a few bad ones do not count; None while nothing is known.
        """
        times, data = self.latest(seconds + WARM_UP_S)
        if len(times) < 2:
            return None
        display_filter = self._new_filter()
        pieces = [*self._filtered(display_filter, times, data, float(times[0])), display_filter.finish()]
        newest = np.concatenate([piece[1] for piece in pieces if piece is not None], axis=1)[
            :, -math.ceil(seconds * self.info.sfreq) :
        ]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # channels that are all NaN
            typical = float(np.nanmedian(np.nanstd(newest, axis=1)))
        return typical if typical > 0 else None
