"""Run a presentation: sequences, flips, keys -> frames to show, markers, rows of the log.

The plan is a script of phases, each of which lasts for a number of refreshes. A flip that is missed counts as a refresh
of the phase it falls into, so a picture ends on time unless its last flip is the late one; the next phase then begins
late and keeps its whole length.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from necomimi.markers import PRESENTER_PREFIX
from necomimi.sequence import CATCH, Paradigm

from .catches import Catches
from .flips import BLANK, FlipClock, Frame, frames_of

__all__ = ["END", "INSTRUCTION", "REST", "Picture", "Presentation"]

logger = logging.getLogger(__name__)

INSTRUCTION, REST, END = -3, -4, -5  # keys of prepared images, as CATCH and BLANK
BEGIN_S = 2.0  # least time of the instruction: the refresh is measured meanwhile
LONG_BREAK_S = 10.0  # of a long break that nobody ends
END_S = 1.5
RATE_TOLERANCE = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture as it stands in markers and log: path relative to its folder, what it shows, its marker."""

    file: str
    concept: str
    marker: str


@dataclass(frozen=True, slots=True)
class _Phase:
    """What is shown for some time."""

    kind: Literal["page", "pause", "picture", "blank"]
    image: int
    seconds: float
    needs_key: bool = False
    loads: bool = False  # the pictures of `sequence` are prepared meanwhile
    sequence: int = 0
    position: int = 0


# Before a page takes keys for itself, and before the end, a target may still be answered.
ANSWERING = _Phase("pause", BLANK, 1.0)


class Presentation:
    """A run from the instruction to the end, played by a stage (`necomimi.gui.flips.Show`).

    Parameters
    ----------
    sequences : sequence of tuple of int
        Of `necomimi.sequence.draw_sequences`.
    pictures : mapping of int to Picture
    paradigm : Paradigm
    nominal_hz : float
        Refreshes per second that the display is said to have.
    load : callable
        Gets the number of a sequence, from 0, and gives an iterator; each of its steps prepares an image.
    send : callable
        Sends a marker: (label, time stamp).
    log : callable
        Takes a row of the log.
    clock : callable
        Seconds on the LSL clock.
    offset_s : float
        From a flip to the light, added to the stamps of what is shown.
    auto : bool
        Go on without keys.
    """

    def __init__(
        self,
        sequences: Sequence[tuple[int, ...]],
        pictures: Mapping[int, Picture],
        paradigm: Paradigm,
        *,
        nominal_hz: float,
        load: Callable[[int], Iterator[None]],
        send: Callable[[str, float], None],
        log: Callable[[Mapping[str, Any]], None],
        clock: Callable[[], float],
        offset_s: float = 0.0,
        auto: bool = False,
    ) -> None:
        self.flips = FlipClock(nominal_hz)
        self.catches = Catches()
        self.n_pictures = 0
        self.n_dropped = 0
        self.ended = ""  # why, once it is over
        self.done = False
        self._nominal_hz = nominal_hz
        self._sequences, self._pictures, self._paradigm, self._auto = sequences, pictures, paradigm, auto
        self._load, self._send, self._log, self._clock, self._offset_s = load, send, log, clock, offset_s
        self._intervals: list[float] = []  # between flips within sequences
        self._missed = 0  # refreshes since the picture before ended
        self._began: float | None = None
        self._before: float | None = None  # the last flip, within a sequence
        self._open: dict[str, Any] | None = None  # what is on: its row as far as it is known
        self._answers: list[dict[str, Any]] = []  # their rows come after that of what is on
        self._loader: Iterator[None] | None = None
        self._script = self._phases()
        self._phase = next(self._script)
        self._enter(self._phase)

    @property
    def interval_ms(self) -> tuple[float, float] | None:
        """Median and 99th percentile of the intervals between flips within sequences; None where there are none."""
        if not self._intervals:
            return None
        p50, p99 = (1e3 * np.percentile(self._intervals, (50, 99))).tolist()
        return p50, p99

    def _phases(self) -> Iterator[_Phase]:
        """Yield what is shown, in order."""
        yield _Phase("page", INSTRUCTION, BEGIN_S, needs_key=not self._auto)
        every = self._paradigm.long_break_every
        for number, items in enumerate(self._sequences, 1):
            if every and number > 1 and (number - 1) % every == 0:
                if self._paradigm.catch:
                    yield ANSWERING
                seconds = LONG_BREAK_S if self._auto else self._paradigm.break_s
                yield _Phase("page", REST, seconds, needs_key=not self._auto, sequence=number)
            yield _Phase("pause", BLANK, self._paradigm.break_s, loads=True, sequence=number)
            for position, item in enumerate(items, 1):
                yield _Phase("picture", item, self._paradigm.on_s, sequence=number, position=position)
                if self._paradigm.off_s:
                    yield _Phase("blank", BLANK, self._paradigm.off_s, sequence=number, position=position)
        if self._paradigm.catch:
            yield ANSWERING
        yield _Phase("page", END, END_S)

    def _enter(self, phase: _Phase) -> None:
        """Show a phase from the next flip on."""
        self._phase, self._needs_key = phase, phase.needs_key
        self._frame = Frame(phase.image, phase.kind == "picture")
        self._is_new = True  # until its first flip
        self._left = 0  # refreshes that it stays, from then on

    # What the stage asks and tells

    def next_frame(self) -> Frame:
        """Return what the coming refresh shows."""
        if not self._is_new and self._left <= 0 and self._loader is None and not self._needs_key:
            phase = next(self._script, None)
            if phase is None:
                self.done = True
            else:
                self._enter(phase)
        return self._frame

    def flipped(self, now: float) -> None:
        """Take note that the frame asked for last was shown at `now`."""
        if self.done:
            return
        n = self.flips.add(now)
        phase = self._phase
        if self._is_new:
            self._is_new = False
            self._left = frames_of(phase.seconds, self.flips.hz) - 1
            self._begin(phase, now, n - 1)
        else:
            self._left -= n
            self._count(now, n - 1)
            if self._loader is not None and next(self._loader, self) is self:
                self._loader = None
                self._left = max(self._left, frames_of(0.1, self.flips.hz))  # flips are regular again by then

    def key(self, now: float) -> None:
        """Go on where a key is waited for; elsewhere it answers a target."""
        if self._phase.kind == "page":
            self._needs_key = False
        elif self._paradigm.catch and self._began is not None and not self.done:
            response_time = self.catches.pressed(now)
            row = self._row("response", now, f"{PRESENTER_PREFIX}response")
            row |= {"duration": 0.0, "flip_time_lsl": now, "response_time": response_time}
            self._send(row["value"], now)
            self._answers.append(row)
            if self._open is None:
                self._log_answers()

    def stop(self, why: str) -> None:
        """End at once; what is on ends now."""
        if not self.ended:
            self._finish(why, self._clock())
        self.done = True

    # What happens at a flip

    def _begin(self, phase: _Phase, now: float, missed: int) -> None:
        """Take note of the first flip of a phase."""
        if phase.kind in ("picture", "blank"):
            self._count(now, missed)
            self._before = now
        self._close(now)
        if phase.kind == "picture":
            self._show(phase, now)
        elif phase.kind != "blank":
            self._pause(phase, now)

    def _count(self, now: float, missed: int) -> None:
        """Count a flip within a sequence; the first one after a break has none before it that it could be late to."""
        if self._before is not None:
            self._intervals.append(now - self._before)
            self._before = now
            self._missed += missed

    def _show(self, phase: _Phase, now: float) -> None:
        """Say that a picture or target is on."""
        stamp = now + self._offset_s
        if phase.image == CATCH:
            marker = f"{PRESENTER_PREFIX}catch"
            self._send(marker, stamp)
            self.catches.shown(stamp)
            self._open = self._row("catch", now, marker)
        else:
            picture = self._pictures[phase.image]
            self._send(picture.marker, stamp)
            self.n_pictures += 1
            self._open = self._row("stimulus", now, picture.marker)
            self._open |= {"stim_file": picture.file, "concept": picture.concept}
        self._open["flip_time_lsl"] = stamp

    def _pause(self, phase: _Phase, now: float) -> None:
        """Say that a pause has begun, where it is one between sequences; prepare what comes after it."""
        self._before, self._missed = None, 0
        if phase.image == INSTRUCTION:
            return
        if phase.image == END:
            self._finish("whole", now)
            return
        if self._began is None:
            self._settle()
            self._began = now
            self._send(f"{PRESENTER_PREFIX}begin", now + self._offset_s)
        if phase.sequence:
            marker = f"{PRESENTER_PREFIX}{'long-break' if phase.image == REST else 'break'}"
            self._send(marker, now + self._offset_s)
            self._open = self._row("break", now, marker)
            self._open["flip_time_lsl"] = now + self._offset_s
        if phase.loads:
            gc.collect()
            self._loader = self._load(phase.sequence - 1)

    def _settle(self) -> None:
        """Fix the refresh, and say what it makes of the durations."""
        self.flips.settle()
        hz, paradigm = self.flips.hz, self._paradigm
        if abs(hz / self._nominal_hz - 1) > RATE_TOLERANCE:
            logger.warning("the display refreshes at %.2f Hz, though it says %.2f Hz", hz, self._nominal_hz)
        n_on, n_off = frames_of(paradigm.on_s, hz), frames_of(paradigm.off_s, hz) if paradigm.off_s else 0
        words = "%.2f Hz: picture %d refreshes = %.1f ms, blank %d refreshes = %.1f ms"
        logger.info(words, hz, n_on, 1e3 * n_on / hz, n_off, 1e3 * n_off / hz)

    def _finish(self, why: str, now: float) -> None:
        """Say that the run is over."""
        self._close(now)
        self.ended = why
        if self._began is not None:
            self._send(f"{PRESENTER_PREFIX}end", now + self._offset_s)

    # Rows

    def _row(self, trial_type: str, now: float, value: str) -> dict[str, Any]:
        assert self._began is not None
        phase = self._phase
        place = {"sequence": phase.sequence or None, "position": phase.position or None}
        return {"onset": now - self._began, "trial_type": trial_type, "value": value, **place}

    def _close(self, now: float) -> None:
        """Log what was on until now, and the answers meanwhile."""
        if self._open is not None:
            assert self._began is not None
            row, self._open = self._open, None
            row["duration"] = now - self._began - row["onset"]
            if row["trial_type"] != "break":
                row["dropped_frames"] = max(0, self._missed)
                self.n_dropped += row["dropped_frames"]
                self._missed = 0
            self._log(row)
        self._log_answers()

    def _log_answers(self) -> None:
        for row in self._answers:
            self._log(row)
        self._answers.clear()
