"""A whole run on a made display: every picture its refreshes, its marker and its row, whatever the display misses."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from necomimi.gui.catches import Catches
from necomimi.gui.flips import BLANK, Frame
from necomimi.gui.presentation import END, INSTRUCTION, REST, Picture, Presentation
from necomimi.sequence import CATCH, Paradigm, draw_sequences

HZ = 60.0
T0 = 5000.0
PICTURES = {i: Picture(file=f"owl/owl_{i}.jpg", concept="owl", marker=f"owl_{i}") for i in range(6)}
RAPID = Paradigm(sequence=4, long_break_every=0)


class Display:
    """Plays a run refresh by refresh; a refresh may be missed, and keys pressed."""

    def __init__(self, paradigm: Paradigm, *, auto: bool = True, hz: float = HZ, offset_s: float = 0.0) -> None:
        self.now = T0
        self.hz = hz
        self.markers: list[tuple[str, float]] = []
        self.rows: list[Mapping[str, Any]] = []
        self.frames: list[tuple[float, Frame]] = []
        self.loaded: list[int] = []
        self.sequences = draw_sequences(tuple(PICTURES), paradigm)
        self.show = Presentation(
            *(self.sequences, PICTURES, paradigm),
            nominal_hz=HZ,
            load=self._load,
            send=lambda label, stamp: self.markers.append((label, stamp)),
            log=self.rows.append,
            clock=lambda: self.now,
            offset_s=offset_s,
            auto=auto,
        )

    def _load(self, number: int) -> Iterator[None]:
        for item in self.sequences[number]:
            self.loaded.append(item)
            yield

    def flip(self, missed: int = 0) -> Frame:
        frame = self.show.next_frame()
        self.now += (1 + missed) / self.hz
        if not self.show.done:
            self.show.flipped(self.now)
            self.frames.append((self.now, frame))
        return frame

    def until(self, wanted: Callable[[Frame], bool]) -> Frame:
        for _ in range(100_000):
            frame = self.flip()
            if self.show.done or wanted(frame):
                return frame
        raise AssertionError("it never came")

    def finish(self) -> None:
        self.until(lambda frame: False)

    def of(self, trial_type: str) -> list[Mapping[str, Any]]:
        return [row for row in self.rows if row["trial_type"] == trial_type]


@pytest.mark.parametrize(("hz", "on", "off"), [(60.0, 6, 6), (75.0, 8, 8), (143.86, 14, 14)])
def test_each_picture_has_its_refreshes_its_marker_and_its_row(hz: float, on: int, off: int) -> None:
    display = Display(RAPID, hz=hz, offset_s=0.012)
    display.finish()
    assert display.show.ended == "whole"
    assert display.show.flips.hz == pytest.approx(hz, rel=1e-3)
    onsets: list[tuple[int, float]] = []
    lasted: list[int] = []
    before = None
    for now, frame in display.frames:
        if frame.image >= CATCH and frame.image != before:
            onsets.append((frame.image, now))
            lasted.append(0)
        if frame.image >= CATCH:
            lasted[-1] += 1
            assert frame.diode
        else:
            assert not frame.diode
        before = frame.image
    shown = [item for sequence in display.sequences for item in sequence]
    assert [item for item, _ in onsets] == shown
    assert lasted == [on] * len(shown)
    names = ["present/catch" if item == CATCH else PICTURES[item].marker for item in shown]
    trials = [(label, stamp) for label, stamp in display.markers if label == "present/catch" or label[0] == "o"]
    assert trials == [(name, pytest.approx(now + 0.012)) for name, (_, now) in zip(names, onsets, strict=True)]
    first = [label for label, _ in display.markers[:2]]
    assert first == ["present/begin", "present/break"]
    assert display.markers[-1][0] == "present/end"
    rows = [row for row in display.rows if row["trial_type"] in ("stimulus", "catch")]
    assert [(row["value"], row["flip_time_lsl"]) for row in rows] == trials
    assert [row["onset"] for row in rows] == pytest.approx([now - display.markers[0][1] + 0.012 for _, now in onsets])
    assert [row["duration"] for row in rows] == pytest.approx([on / hz] * len(rows))
    assert [(row["sequence"], row["position"]) for row in rows] == [
        (k, i) for k, sequence in enumerate(display.sequences, 1) for i in range(1, len(sequence) + 1)
    ]
    assert display.show.n_dropped == 0
    assert sorted(display.loaded) == sorted(shown)
    gaps = [late - early for (_, early), (_, late) in itertools.pairwise(onsets)]
    assert min(gaps) == pytest.approx((on + off) / hz)


def test_a_missed_flip_within_a_picture_does_not_make_it_longer() -> None:
    display = Display(RAPID)
    display.until(lambda frame: frame.diode)
    display.flip(missed=2)
    display.finish()
    row = display.rows[1]
    assert row["trial_type"] == "stimulus"
    assert row["duration"] == pytest.approx(6 / HZ)
    assert row["dropped_frames"] == display.show.n_dropped == 2


def test_a_flip_missed_at_the_end_makes_a_picture_longer_and_one_before_it_makes_it_late() -> None:
    display = Display(RAPID)
    display.until(lambda frame: frame.diode)
    for _ in range(5):
        display.flip()
    display.flip(missed=1)  # the blank comes late
    for _ in range(5):
        display.flip()
    display.flip(missed=3)  # the next picture comes late
    display.finish()
    trials = [row for row in display.rows if row["trial_type"] in ("stimulus", "catch")]
    assert [row["dropped_frames"] for row in trials[:3]] == [1, 3, 0]
    assert [row["duration"] for row in trials[:3]] == pytest.approx([7 / HZ, 6 / HZ, 6 / HZ])
    assert trials[1]["onset"] - trials[0]["onset"] == pytest.approx((7 + 6 + 3) / HZ)
    assert display.show.n_dropped == 4


def test_a_picture_goes_over_into_the_next_where_there_is_no_blank() -> None:
    display = Display(Paradigm(on_s=0.05, off_s=0.0, sequence=6, catch=False))
    display.finish()
    rows = display.of("stimulus")
    assert [late["onset"] - early["onset"] for early, late in itertools.pairwise(rows)] == pytest.approx([3 / HZ] * 5)
    assert {frame.image for _, frame in display.frames} == {INSTRUCTION, BLANK, END, *range(6)}


def test_slow_single_pictures() -> None:
    display = Display(Paradigm(on_s=1.0, off_s=1.0, sequence=1, catch=False, break_s=0.0))
    display.finish()
    assert len(display.of("stimulus")) == len(display.of("break")) == 6
    assert not display.of("catch")
    assert {label for label, _ in display.markers if label.startswith("present/")} == {
        *("present/begin", "present/break", "present/end")
    }


def test_without_auto_it_begins_and_goes_on_by_a_key() -> None:
    display = Display(Paradigm(sequence=2, long_break_every=1, break_s=0.1), auto=False)
    for _ in range(600):
        assert display.flip().image == INSTRUCTION
    display.show.key(display.now)
    assert display.until(lambda frame: frame.image != INSTRUCTION).image == BLANK
    display.until(lambda frame: frame.image == REST)
    for _ in range(600):
        assert display.flip().image == REST
    display.show.key(display.now)
    display.until(lambda frame: frame.image == REST and display.loaded[-1] in display.sequences[1])
    display.show.key(display.now)
    display.finish()
    assert display.show.ended == "whole"
    assert display.show.catches.n_false_alarms == 0  # keys that a page waited for answer nothing
    assert [label for label, _ in display.markers].count("present/long-break") == 2


def test_an_early_key_does_not_cut_the_instruction_short() -> None:
    """The refresh is measured meanwhile."""
    display = Display(RAPID, auto=False)
    display.flip()
    display.show.key(display.now)
    display.until(lambda frame: frame.image != INSTRUCTION)
    assert display.now - T0 > 1.9


def test_keys_are_matched_with_targets() -> None:
    display = Display(RAPID)
    display.until(lambda frame: frame.image == CATCH)
    shown = display.now
    for _ in range(27):
        display.flip()
    display.show.key(display.now)  # a hit
    display.flip()
    display.show.key(display.now)  # once more, for nothing
    display.finish()
    n = len(display.sequences)
    catches = display.show.catches
    assert (catches.n, catches.n_hits, catches.n_false_alarms) == (n, 1, 1)
    hit, false_alarm = display.of("response")
    assert hit["response_time"] == pytest.approx(27 / HZ)
    assert false_alarm["response_time"] is None
    assert hit["flip_time_lsl"] == pytest.approx(shown + 27 / HZ)
    assert ("present/response", hit["flip_time_lsl"]) in display.markers
    onsets = [row["onset"] for row in display.rows]
    assert onsets == sorted(onsets)  # answers stand after the picture that was on


@pytest.mark.parametrize(("after", "is_hit"), [(0.05, False), (0.3, True), (1.9, True), (2.1, False)])
def test_an_answer_has_its_time(after: float, is_hit: bool) -> None:
    catches = Catches()
    catches.shown(10.0)
    response = catches.pressed(10.0 + after)
    assert response == (pytest.approx(after) if is_hit else None)
    assert (catches.n, catches.n_hits, catches.n_false_alarms) == (1, int(is_hit), int(not is_hit))


def test_a_key_is_no_answer_where_there_are_no_targets() -> None:
    display = Display(Paradigm(sequence=3, catch=False))
    display.until(lambda frame: frame.diode)
    display.show.key(display.now)
    display.finish()
    assert not display.of("response")


def test_to_stop_in_the_middle_of_a_picture_closes_it() -> None:
    display = Display(RAPID)
    display.until(lambda frame: frame.diode)
    display.flip()
    display.flip()
    display.show.stop("Escape was pressed")
    display.show.stop("the window was closed")
    assert display.show.done
    assert display.show.ended == "Escape was pressed"
    assert display.markers[-1] == ("present/end", display.now)
    assert [label for label, _ in display.markers].count("present/end") == 1
    assert display.rows[-1]["duration"] == pytest.approx(2 / HZ)


def test_to_stop_before_the_begin_sends_nothing() -> None:
    display = Display(RAPID, auto=False)
    display.flip()
    display.show.stop("Escape was pressed")
    assert display.show.done
    assert display.markers == display.rows == []


def test_a_display_that_is_not_what_it_says_is_told(caplog: pytest.LogCaptureFixture) -> None:
    display = Display(RAPID, hz=75.0)
    with caplog.at_level("INFO"):
        display.finish()
    assert "refreshes at 75.00 Hz, though it says 60.00 Hz" in caplog.text
    assert "picture 8 refreshes = 106.7 ms" in caplog.text
