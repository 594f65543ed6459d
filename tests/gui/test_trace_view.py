from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from pyqtgraph.Qt import QtCore, QtTest

from necomimi.gui.display_filter import AVERAGE, DisplaySettings
from necomimi.gui.display_state import DisplayState
from necomimi.gui.event_layer import Labels, refused_spans
from necomimi.gui.language import use_language
from necomimi.gui.mark import Mark
from necomimi.gui.ruler import SCALES
from necomimi.gui.theme import DARK, LIGHT
from necomimi.gui.trace_controls import WINDOWS_S
from necomimi.gui.trace_view import TraceView
from necomimi.records import Chunk, Event, Refusal, Retrieval, StreamInfo

from .screen import is_color, pixels, turn_wheel
from .synthetic import make_status

pytestmark = pytest.mark.qt

NOW = 1000.0
SFREQ = 500.0


@pytest.fixture
def view() -> Iterator[TraceView]:
    view = TraceView(DisplayState(), DARK)
    view.resize(800, 500)
    view.show()
    yield view
    view.close()


def feed(
    view: TraceView,
    start: float,
    stop: float,
    n_channels: int = 4,
    volts: float = 1e-5,
    names: tuple[str, ...] = (),
) -> None:
    """Enter a sine of 3 Hz in all channels, in chunks of 50 ms."""
    n_channels = len(names) or n_channels
    info = StreamInfo(
        name="amp",
        type="EEG",
        source_id="a",
        uid="u",
        ch_names=names or tuple(f"E{i}" for i in range(n_channels)),
        sfreq=SFREQ,
        units=("V",) * n_channels,
    )
    times = np.arange(round(start * SFREQ), round(stop * SFREQ)) / SFREQ
    for some in np.array_split(times, max(1, len(times) // 25)):
        data = np.tile(volts * np.sin(6 * np.pi * some), (n_channels, 1))
        view.state.update(Chunk(data=data.astype(np.float32), timestamps=some, info=info), float(some[-1]))
    view.advance(NOW)


def crop(view: TraceView, left: float = 0.0, right: float = 1.0) -> np.ndarray:
    """Return the plot's pixels between two fractions of its width."""
    image = pixels(view)  # first: painting decides how much room the labels take
    plot = view.plot_rect()
    x0, x1 = (int(plot.left() + f * plot.width()) for f in (left, right))
    return image[int(plot.top()) + 1 : int(plot.bottom()) - 1, x0 + 1 : x1 - 1]


def bright(area: np.ndarray) -> np.ndarray:
    """Return where the traces' colour is, alone or blended."""
    return area.min(axis=2) > 110


def press(view: TraceView, key: str) -> None:
    QtTest.QTest.keyClick(view, getattr(QtCore.Qt.Key, f"Key_{key}"))


def test_every_channel_is_drawn_in_its_row_over_the_whole_width(view: TraceView) -> None:
    feed(view, NOW - 15, NOW)
    area = bright(crop(view))
    rows = np.array_split(area[:, :-80], 4)  # without the scale bar
    for row in rows:
        assert row.any(axis=0).mean() > 0.98


def test_the_height_on_screen_is_the_microvolts(view: TraceView) -> None:
    feed(view, NOW - 15, NOW, n_channels=1, volts=20e-6)
    view.scale = 100.0
    area = bright(crop(view, 0.1, 0.5))
    rows = np.flatnonzero(area.any(axis=1))
    assert rows[-1] - rows[0] == pytest.approx(0.4 * view.plot_rect().height(), abs=4)  # 40 of 100 µV


def test_a_gap_is_empty_and_the_signal_stops_where_it_stopped(view: TraceView) -> None:
    feed(view, NOW - 12, NOW - 6)
    feed(view, NOW - 4, NOW - 2)
    assert bright(crop(view, 0.02, 0.38)).any(axis=0).mean() > 0.98
    hatched = crop(view, 0.41, 0.59)
    writing = slice(hatched.shape[0] // 2 - 12, hatched.shape[0] // 2 + 12)
    assert not bright(np.delete(hatched, writing, axis=0)).any()
    assert len(np.unique(hatched.reshape(-1, 3), axis=0)) > 3  # hatched, not merely empty
    assert bright(crop(view, 0.61, 0.79)).any(axis=0).mean() > 0.98
    assert not bright(crop(view, 0.81, 0.87)).any()


def test_refused_epochs_are_shaded_up_to_the_next_event(view: TraceView) -> None:
    feed(view, NOW - 12, NOW)
    first, second = (Event(onset=NOW - age, label="a", code=i) for i, age in enumerate((6.0, 5.5)))
    before = crop(view)
    view.state.update(first, NOW)
    view.state.update(second, NOW)
    view.state.update(Refusal(event=first, reason="amplitude"), NOW)
    change = crop(view)
    assert change.shape[0] < before.shape[0]  # the labels took a line
    tinted = (change[..., 0] - change[..., 2]) > 8  # redder than blue: only the trouble colour is
    columns = np.flatnonzero(tinted.mean(axis=0) > 0.5) / change.shape[1]
    assert columns[0] == pytest.approx(0.40, abs=0.01)
    assert columns[-1] == pytest.approx(0.45, abs=0.01)


def refused(onset: float, code: int = 0, label: str = "a") -> Mark:
    refusal = Refusal(event=Event(onset=onset, label=label, code=code), reason="reference lost")
    return Mark(refusal.event, "refused", refusal)


def test_refused_epochs_are_spans_that_do_not_overlap() -> None:
    marks = [refused(5.0), refused(1.0), refused(1.5), Mark(Event(onset=2.0, label="a", code=3))]
    spans = refused_spans(marks, (-0.2, 0.8))
    assert [span[:2] for span in spans] == [(0.8, 2.3), (4.8, 5.8)]
    assert spans[0][2] is marks[1].answer
    spans = refused_spans(marks, None)  # an older decoder: up to the next event, and a second at most
    assert [span[:2] for span in spans] == [(1.0, 2.0), (5.0, 6.0)]


def test_refused_epochs_are_shaded_over_their_whole_length(view: TraceView) -> None:
    feed(view, NOW - 12, NOW)
    view.state.update(make_status(tmin=-0.5, tmax=1.0), NOW)
    for code, age in enumerate((10.6, 6.0, 5.8)):  # the first began before the left border
        event = Event(onset=NOW - age, label="a", code=code)
        view.state.update(event if code == 2 else refused(event.onset, code).answer, NOW)
    change = crop(view)
    tinted = (change[..., 0] - change[..., 2]) > 8
    columns = np.flatnonzero(tinted.mean(axis=0) > 0.5) / change.shape[1]
    first, second = columns[columns < 0.2], columns[columns > 0.2]
    assert (first[0], first[-1]) == (pytest.approx(0.0, abs=0.01), pytest.approx(0.04, abs=0.01))
    assert (second[0], second[-1]) == (pytest.approx(0.35, abs=0.01), pytest.approx(0.50, abs=0.01))


def test_marks_take_the_colour_of_their_verdict(view: TraceView) -> None:
    feed(view, NOW - 12, NOW)
    event = Event(onset=NOW - 5, label="aircraft_carrier", code=0)
    view.state.update(event, NOW)

    def n_accent() -> int:
        image = pixels(view)
        plot = view.plot_rect()
        header = image[40 : int(plot.top()), int(plot.left()) :]
        return int(is_color(header, DARK.accent, 30).sum())

    assert n_accent() == 0
    scores = np.array([0.9], dtype=np.float32)
    view.state.update(Retrieval(event=event, labels=("aircraft_carrier",), scores=scores), NOW)
    assert n_accent() > 20


def test_keys_and_wheel_change_the_scale_within_bounds(view: TraceView) -> None:
    press(view, "Up")
    assert view.scale is None  # nothing to scale yet
    feed(view, NOW - 5, NOW)
    fitted = view.scale
    assert fitted == 50.0  # at least four deviations of 7 µV
    press(view, "Up")
    assert view.scale == 20.0
    press(view, "Down")
    press(view, "Down")
    assert view.scale == 100.0
    turn_wheel(view, 240)
    assert view.scale == 20.0
    turn_wheel(view, -60)
    assert view.scale == 20.0  # half a notch
    turn_wheel(view, -60)
    assert view.scale == 50.0
    for _ in range(60):
        press(view, "Up")
    assert view.scale == SCALES[0]
    for _ in range(60):
        press(view, "Down")
    assert view.scale == SCALES[-1]
    press(view, "A")
    assert view.scale == fitted


def test_keys_change_the_window_within_bounds(view: TraceView) -> None:
    feed(view, NOW - 25, NOW)
    for key, expected in (("Left", 20.0), ("Left", 20.0), ("Right", 10.0), ("Right", 5.0), ("Right", 5.0)):
        press(view, key)
        assert view.window_s == expected
        assert expected in WINDOWS_S
        assert bright(crop(view, 0.02, 0.8)).any(axis=0).mean() > 0.98


def test_the_scale_is_fitted_once_and_kept(view: TraceView) -> None:
    feed(view, NOW - 4, NOW - 3)
    assert view.scale is None
    feed(view, NOW - 3, NOW - 1)
    assert view.scale == 50.0
    feed(view, NOW - 1, NOW, volts=1e-3)
    assert view.scale == 50.0


def test_all_sizes_and_channel_counts(view: TraceView) -> None:
    for n_channels in (1, 2, 63, 256):
        feed(view, NOW - 3, NOW, n_channels=n_channels)
        for width, height in ((320, 220), (900, 400), (2500, 1300)):
            view.resize(width, height)
            assert view.plot_rect().width() > 100
            assert view.plot_rect().height() > 100
            assert bright(crop(view, 0.8, 0.95)).any(axis=0).mean() > 0.95


def test_light_and_dark(view: TraceView) -> None:
    feed(view, NOW - 12, NOW)
    view.set_theme(LIGHT)
    area = crop(view)
    assert is_color(area, LIGHT.panel, 0).mean() > 0.5
    assert is_color(area, LIGHT.trace, 12).any()


def test_a_silent_stream_is_named_where_the_signal_is_missing(view: TraceView) -> None:
    feed(view, NOW - 12, NOW - 6)
    area = crop(view, 0.45, 0.95)
    assert is_color(area, DARK.trouble, 20).any()
    assert not bright(area[: area.shape[0] // 3]).any()


@pytest.mark.parametrize(
    ("spacing_s", "height", "expected"),
    [(2.0, 600, Labels(1, 1)), (0.5, 600, Labels(2, 1)), (0.2, 600, Labels(5, 1)), (0.2, 220, Labels(2, 3))],
)
def test_labels_take_turns_when_events_are_quick(
    view: TraceView, spacing_s: float, height: float, expected: Labels
) -> None:
    for code in range(10):
        view.state.update(Event(onset=code * spacing_s, label="a", code=code), 0.0)
    assert Labels.fitting(list(view.state.marks), 90.0, height) == expected
    assert Labels.fitting(list(view.state.marks)[:1], 90.0, height) is None


def test_neighbours_on_one_line_are_far_enough_apart() -> None:
    labels = Labels(2, 3)
    assert [labels.line(code) for code in range(10)] == [0, None, None, 1, None, None, 0, None, None, 1]


CAP = ("Oz", "Fz", "Cz", "T7", "P3", "EMG")


def click(view: TraceView, name: str) -> None:
    pixels(view)  # painting places the names
    ring = view.state.eeg
    assert ring is not None
    centre = view._gutter._boxes[ring.info.ch_names.index(name)].center().toPoint()
    assert view.name_at(QtCore.QPointF(centre)) == name
    QtTest.QTest.mouseClick(view, QtCore.Qt.MouseButton.LeftButton, QtCore.Qt.KeyboardModifier.NoModifier, centre)


def strongest_row(view: TraceView) -> int:
    """Return which of six rows, from the top, has most of the traces' colour."""
    area = bright(crop(view, 0.1, 0.7))
    return int(np.argmax([row.mean() for row in np.array_split(area, 6)]))


def test_rows_go_from_front_to_back_and_g_gives_the_streams_order(view: TraceView) -> None:
    feed(view, NOW - 12, NOW, names=CAP)
    assert [CAP[i] for i in view.rows().order] == ["Fz", "Cz", "T7", "P3", "Oz", "EMG"]
    info = view.state.eeg.info  # type: ignore[union-attr]
    times = NOW - 0.001 + np.arange(1, 4001) / SFREQ
    data = np.zeros((6, 4000), dtype=np.float32)
    data[0] = 4e-5 * np.sin(60 * times)  # Oz alone
    view.state.update(Chunk(data=data, timestamps=times, info=info), NOW + 8)
    view.advance(NOW + 8)
    view.window_s, view.scale = 5.0, 100.0
    assert strongest_row(view) == 4
    press(view, "G")
    assert strongest_row(view) == 0
    press(view, "G")
    assert strongest_row(view) == 4


def test_keys_choose_reference_and_filters(view: TraceView) -> None:
    feed(view, NOW - 5, NOW, names=CAP)
    for key, expected in (
        ("R", DisplaySettings(AVERAGE)),
        ("R", DisplaySettings("Cz")),
        ("R", DisplaySettings()),
        ("H", DisplaySettings(highpass=0.1)),
        ("H", DisplaySettings(highpass=1.0)),
        ("L", DisplaySettings(highpass=1.0, lowpass=30.0)),
        ("N", DisplaySettings(highpass=1.0, lowpass=30.0, notch=50.0)),
        ("H", DisplaySettings(lowpass=30.0, notch=50.0)),
    ):
        press(view, key)
        assert view.settings == expected
        assert view.state.eeg.shown == expected  # type: ignore[union-attr]
    view.set_reference("Oz")
    assert "reference Oz · up to 30 Hz · notch 50 Hz" in view.subtitle()
    press(view, "R")
    assert view.settings.reference is None


def test_without_a_vertex_r_goes_from_average_to_none(view: TraceView) -> None:
    feed(view, NOW - 5, NOW)
    press(view, "R")
    assert view.settings.reference == AVERAGE
    press(view, "R")
    assert view.settings.reference is None


def test_keys_with_a_modifier_are_left_to_the_window(view: TraceView) -> None:
    feed(view, NOW - 5, NOW)
    scale = view.scale
    for key in (QtCore.Qt.Key.Key_R, QtCore.Qt.Key.Key_Up):
        QtTest.QTest.keyClick(view, key, QtCore.Qt.KeyboardModifier.ControlModifier)
    assert view.settings == DisplaySettings()
    assert view.scale == scale


def test_the_average_takes_off_what_all_channels_share(view: TraceView) -> None:
    feed(view, NOW - 12, NOW)
    view.scale = 20.0
    with_it = bright(crop(view, 0.1, 0.7)).mean()
    press(view, "R")
    assert bright(crop(view, 0.1, 0.7)).mean() < 0.3 * with_it  # four flat lines
    assert view.state.eeg.latest(1.0)[1].std() == pytest.approx(7.07, rel=0.05)  # type: ignore[union-attr]


def test_settings_outlive_a_stream(view: TraceView) -> None:
    feed(view, NOW - 5, NOW, names=CAP)
    view.set_reference("Cz")
    view.set_notch(60.0)
    feed(view, NOW - 5, NOW, n_channels=3)
    assert view.state.eeg.shown == DisplaySettings(notch=60.0)  # type: ignore[union-attr]
    assert "Cz" not in view.subtitle()
    feed(view, NOW - 5, NOW, names=CAP)
    assert view.state.eeg.shown == DisplaySettings("Cz", notch=60.0)  # type: ignore[union-attr]


def test_a_click_on_a_name_marks_a_channel_and_another_takes_it_back(view: TraceView) -> None:
    feed(view, NOW - 12, NOW, names=CAP)
    view.set_reference(AVERAGE)
    click(view, "Oz")
    assert view.watch.reasons == {"Oz": "by hand"}
    assert "1 bad channel" in view.subtitle()
    ring = view.state.eeg
    assert ring is not None
    assert ring._display == (DisplaySettings(AVERAGE), frozenset({"Oz"}))
    trouble = is_color(pixels(view)[:, : int(view.plot_rect().left())], DARK.trouble, 40)
    assert trouble.any()
    click(view, "Oz")
    assert not view.watch.reasons
    assert "bad" not in view.subtitle()


def test_a_bad_channels_trace_is_paler(view: TraceView) -> None:
    feed(view, NOW - 12, NOW, n_channels=1)
    before = crop(view, 0.3, 0.7).max()
    view.toggle_bad("E0")
    assert crop(view, 0.3, 0.7).max() < before - 40


def test_a_flat_and_a_noisy_channel_are_marked_as_they_play(view: TraceView) -> None:
    names = ("Fz", "Cz", "Pz", "Oz", "O1", "O2")
    feed(view, NOW - 14, NOW - 13.9, names=names)
    info = view.state.eeg.info  # type: ignore[union-attr]
    rng = np.random.default_rng(0)
    for second in range(8):
        times = NOW - 13.9 + second + np.arange(500) / SFREQ
        data = 10e-6 * np.sin(2 * np.pi * 9 * times) + 2e-6 * rng.normal(size=(6, 500))
        data[1] = 0
        data[4] += 200e-6 * rng.normal(size=500)
        view.state.update(Chunk(data=data.astype(np.float32), timestamps=times, info=info), NOW)
        view.advance(float(times[-1]))
        view.watch.wait()
    view.advance(NOW)
    assert view.watch.reasons == {"Cz": "flat", "O1": "noisy"}
    assert "2 bad channels" in view.subtitle()
    pixels(view)
    tip = view.tip_at(view._gutter._boxes[4].center())
    assert tip.startswith("O1 · occipital · noisy\n")
    assert "µV rms" in tip


def test_names_of_a_stream_that_is_gone_are_nobodys(view: TraceView) -> None:
    feed(view, NOW - 5, NOW, names=CAP)
    pixels(view)
    place = view._gutter._boxes[5].center()
    assert view.name_at(place) == "EMG"
    feed(view, NOW - 5, NOW, n_channels=2)  # and nothing has been painted yet
    assert view.name_at(place) is None


def test_tips_say_keys_in_the_title_line_and_nothing_over_the_traces(view: TraceView) -> None:
    feed(view, NOW - 5, NOW)
    pixels(view)
    tip = view.tip_at(QtCore.QPointF(200, 10))
    for keys, words in view.key_help():
        assert keys in tip
        assert words in tip
    assert view.tip_at(view.plot_rect().center()) == ""


@pytest.mark.parametrize("size", [(320, 220), (900, 500)])
def test_japanese(view: TraceView, size: tuple[int, int]) -> None:
    feed(view, NOW - 12, NOW, names=CAP)
    view.resize(*size)
    english = pixels(view)
    assert view.title == "EEG"
    use_language("ja")
    try:
        assert view.title == "脳波"
        assert (pixels(view) != english).any()
        assert bright(crop(view, 0.8, 0.95)).any(axis=0).mean() > 0.95
    finally:
        use_language("en")
