"""The check of the electrodes: over real liblsl, in a window of its own, and in words and figures."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyqtgraph.Qt import QtCore, QtGui, QtTest, QtWidgets

from necomimi.gui.language import use_language
from necomimi.gui.signal_report import VERDICTS, SignalReport, advice, details, listing, report_of
from necomimi.gui.signal_source import SignalSource
from necomimi.gui.signal_view import SignalView
from necomimi.gui.signal_window import SignalWindow
from necomimi.gui.theme import DARK
from necomimi.lsl import EEGOutlet, local_clock
from necomimi.records import StreamInfo
from necomimi.synthetic import Synthetic

pytestmark = pytest.mark.qt

NAMES = Synthetic.parse("synthetic:32x250x5").ch_names
SFREQ = 250.0
LIMIT_S = 90
DEADLINE_S = 30.0
KEY = QtCore.Qt.Key


def header(name: str, units: str = "microvolts") -> StreamInfo:
    return StreamInfo(
        name=name, type="EEG", source_id=f"{name}-id", uid="", ch_names=(*NAMES, "trigger"), sfreq=SFREQ,
        units=(units,) * 32 + ("",), ch_types=("EEG",) * 32 + ("STIM",),
    )  # fmt: skip


def signal(n_times: int, n_bad: int) -> np.ndarray:
    """Return volts, shape (32, n_times): the first channel is flat, the others that are bad have mains."""
    rng = np.random.default_rng(5)
    data = np.cumsum(rng.normal(0, 1e-6, (32, n_times)), axis=1)
    data -= np.linspace(0, 1, n_times) * data[:, -1:]
    data += rng.normal(0, 2e-6, data.shape)
    data[1:n_bad] += 40e-6 * np.sin(2 * np.pi * 50 * np.arange(n_times) / SFREQ)
    data[: min(n_bad, 1)] = 0.0
    return data


class Amplifier:
    """Send a signal over LSL, in a thread, until stopped."""

    def __init__(self, name: str, n_bad: int = 0, units: str = "microvolts") -> None:
        self._outlet: EEGOutlet | None = EEGOutlet(header(name, units))
        data = signal(2500, n_bad) * 1e6
        self._samples = np.concatenate([data.T, np.full((2500, 1), 7.0)], axis=1).astype(np.float32)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        assert self._outlet is not None
        at, begin = 0, time.monotonic()
        while not self._stopping.wait(0.02):
            due = int((time.monotonic() - begin) * SFREQ)
            if due > at:
                self._outlet.push(self._samples[np.arange(at, due) % 2500], local_clock())
                at = due

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._outlet = None


@pytest.fixture
def amplifier() -> Iterator[Callable[..., Amplifier]]:
    """Return a function that starts an amplifier; all of them end with the test."""
    running: list[Amplifier] = []

    def start(*arguments: Any, **options: Any) -> Amplifier:
        running.append(Amplifier(*arguments, **options))
        return running[-1]

    yield start
    for one in running:
        one.close()


def until(condition: Callable[[], Any], what: str) -> None:
    """Let Qt work until a condition holds."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"not within {DEADLINE_S:g} s: {what}"
        QtWidgets.QApplication.processEvents()
        time.sleep(0.005)


def run(*arguments: str, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run `necomimi signal` to its end."""
    return subprocess.run(
        [sys.executable, "-m", "necomimi", "signal", *arguments],
        capture_output=True, text=True, timeout=LIMIT_S, env={**os.environ, **changes}, check=False,
    )  # fmt: skip


def make_report(n_bad: int, max_bad: float = 0.1) -> SignalReport:
    info = header("x")
    info = StreamInfo(name="x", type="EEG", source_id="", uid="", ch_names=NAMES, sfreq=SFREQ, units=info.units[:32])
    report = report_of(info, signal(1000, n_bad).astype(np.float32), max_bad)
    assert report is not None
    return report


def test_a_report_says_whether_a_session_can_begin() -> None:
    assert make_report(0).sentence() == "ready: 32 of 32 channels are good"
    assert make_report(3).sentence() == "ready: 29 of 32 channels are good"
    report = make_report(4)
    assert not report.ready
    assert report.sentence() == "not yet: 4 of 32 channels are bad, at most 3 may be"
    assert make_report(4, max_bad=0.2).ready
    assert not SignalReport(channels=(), max_bad=1.0).ready
    assert [len(report.of(verdict)) for verdict in VERDICTS] == [28, 1, 3, 0, 0]
    assert report.as_json()["bad"] == list(NAMES[:4])
    words = listing(report.of("mains"), "mains")
    assert all(f"{name} " in words for name in NAMES[1:4])
    assert "28 µV" in words
    assert all(advice(verdict) for verdict in VERDICTS[1:])
    assert "50 Hz mains: 28." in details(report.channels[1])


def test_less_than_a_second_is_not_judged() -> None:
    info = StreamInfo(name="x", type="EEG", source_id="", uid="", ch_names=NAMES, sfreq=SFREQ, units=("V",) * 32)
    assert report_of(info, np.zeros((32, 249), dtype=np.float32), 0.1) is None


@pytest.mark.parametrize("size", [(620, 480), (1000, 700), (1800, 1100)])
@pytest.mark.parametrize("language", ["en", "ja"])
def test_each_verdict_has_a_shape_of_its_own(size: tuple[int, int], language: str) -> None:
    use_language(language)
    view = SignalView(DARK)
    view.resize(*size)
    shapes = set()
    for verdict in VERDICTS:
        picture = QtGui.QImage(40, 40, QtGui.QImage.Format.Format_Grayscale8)
        picture.fill(0)
        painter = QtGui.QPainter(picture)
        view._draw_shape(painter, QtCore.QPointF(20, 20), 10, verdict)
        painter.end()
        shapes.add((np.frombuffer(picture.constBits().asstring(1600), dtype=np.uint8) > 20).tobytes())
    assert len(shapes) == 5
    view.show_report(make_report(6), "x")
    cards = view.rects()
    assert all(QtCore.QRectF(view.rect()).contains(card) for card in cards)
    assert not any(a.intersects(b) for i, a in enumerate(cards) for b in cards[i + 1 :])
    assert view.bar_at(view._plot().left() + 1) == 0
    assert view.bar_at(view._plot().right() - 1) == 31
    view.grab()


@pytest.mark.lsl
def test_the_window_judges_what_an_amplifier_sends(amplifier: Callable[..., Amplifier]) -> None:
    amplifier("signal-window", n_bad=5)
    window = SignalWindow(SignalSource(name="signal-window"), DARK, max_bad=0.1)
    window.show()
    window.start()
    until(lambda: window.report is not None and len(window.report.bad) == 5, "a report of five bad channels")
    assert [channel.name for channel in window.report.channels] == list(NAMES)  # no trigger
    assert window.report.channels[0].verdict == "flat"
    assert {channel.verdict for channel in window.report.channels[1:5]} == {"mains"}
    assert window.report.channels[2].mains == pytest.approx(40e-6 / np.sqrt(2), rel=0.1)
    assert window.view.report is window.report
    window.grab()
    QtTest.QTest.keyClick(window, KEY.Key_Space)
    assert window.accepted
    assert not window.isVisible()
    assert not window.source._thread.is_alive()


@pytest.mark.lsl
@pytest.mark.parametrize(
    ("key", "accepted"),
    [(KEY.Key_Return, True), (KEY.Key_Enter, True), (KEY.Key_Q, False), (KEY.Key_Escape, False)],
)
def test_keys_decide(key: Any, accepted: bool) -> None:
    window = SignalWindow(SignalSource(name="nobody-at-all"), DARK, max_bad=0.1)
    window.show()
    window.judge()
    assert window.view.words == "looking for the EEG stream"
    QtTest.QTest.keyClick(window, key)
    assert window.accepted is accepted
    assert not window.isVisible()


@pytest.mark.lsl
def test_a_stream_that_was_lost_is_found_again(amplifier: Callable[..., Amplifier]) -> None:
    first = amplifier("signal-lost")
    source = SignalSource(name="signal-lost")
    source.start()
    until(lambda: source.latest() is not None, "samples")
    first.close()
    until(lambda: source.latest() is None, "silence")
    amplifier("signal-lost")
    until(lambda: source.latest() is not None, "samples again")
    assert source.error is None
    source.stop()


@pytest.mark.lsl
def test_a_silent_unit_is_guessed(amplifier: Callable[..., Amplifier]) -> None:
    amplifier("signal-unit", units="")
    source = SignalSource(name="signal-unit")
    source.start()
    until(lambda: source.latest() is not None, "samples")
    info, data = source.latest()
    source.stop()
    assert "unit guessed: microvolts" in info.warnings[-1]
    assert np.abs(data).max() < 1e-3


@pytest.mark.lsl
def test_a_stream_that_never_sends_anything_is_not_waited_for_for_ever(necomimi: Callable[..., Any]) -> None:
    outlet = EEGOutlet(header("signal-mute"))
    status, _, remarks = necomimi("signal", "--json", "--eeg-name", "signal-mute", "--timeout", 2)
    assert status == 1
    assert "stream 'signal-mute' sends nothing" in remarks
    del outlet


@pytest.mark.lsl
def test_it_prints_an_object_for_programs(amplifier: Callable[..., Amplifier], necomimi: Callable[..., Any]) -> None:
    amplifier("signal-json", n_bad=4)
    status, told, remarks = necomimi("signal", "--json", "--eeg-name", "signal-json", "--seconds", 2)
    assert status == 1, remarks
    found = json.loads(told)
    assert (found["ready"], found["n_good"], found["n_channels"]) == (False, 28, 32)
    assert found["bad"] == list(NAMES[:4])
    assert found["channels"][0] == {"name": NAMES[0], "verdict": "flat", "rms_uv": 0.0, "mains_uv": 0.0}
    status, told, remarks = necomimi(
        *("signal", "--json", "--eeg-name", "signal-json", "--seconds", 2, "--max-bad", 0.2)
    )
    assert status == 0, remarks
    assert json.loads(told)["ready"] is True


@pytest.mark.lsl
def test_the_synthetic_amplifier_is_ready_and_a_screenshot_is_saved(
    tmp_path: Path, necomimi: Callable[..., Any]
) -> None:
    player = subprocess.Popen(
        [sys.executable, "-m", "necomimi", "replay", "synthetic:63x500x5"], stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        picture = tmp_path / "signal.png"
        options = ("--eeg-name", "synthetic EEG", "--seconds", "2", "--timeout", "40")
        done = run(*options, "--screenshot", str(picture), QT_QPA_PLATFORM="offscreen")
        assert done.returncode == 0, done.stderr
        assert QtGui.QImage(str(picture)).width() == 1000
        status, told, remarks = necomimi("signal", *options, "--headless")
        assert status == 0, remarks
        assert "ready: 63 of 63 channels are good" in told
        assert "Fp1" in told
        assert "trigger" not in told
    finally:
        player.kill()
        player.wait()


@pytest.mark.lsl
def test_without_a_stream_it_says_so(necomimi: Callable[..., Any]) -> None:
    options = ("--eeg-name", "nobody-at-all", "--timeout", "1")
    in_window = run("--theme=dark", *options, QT_QPA_PLATFORM="offscreen")
    assert "Traceback" not in in_window.stderr
    headless, _, remarks = necomimi("signal", "--headless", *options)
    for status, words in ((in_window.returncode, in_window.stderr), (headless, remarks)):
        assert status == 1, words
        assert "no LSL stream matches name 'nobody-at-all'" in words
        assert "necomimi streams" in words


def test_help_answers_without_qt() -> None:
    script = (
        "import sys; import necomimi.gui.signal; print([m for m in sys.modules if 'Qt' in m or m in ('torch', 'mne')])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=LIMIT_S, check=True)
    assert done.stdout.strip() == "[]"
