"""What a person does with the window: keys, menus, panels, layout, playback, reports, languages."""

from __future__ import annotations

import gc
import logging
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyqtgraph.Qt import QtCore, QtGui, QtTest, QtWidgets

from necomimi.feed import Publisher, encode
from necomimi.feed_file import FeedRecorder, Message
from necomimi.gui import language
from necomimi.gui.arrangement import visible_geometry
from necomimi.gui.display_state import DisplayState
from necomimi.gui.japanese import JAPANESE
from necomimi.gui.language import tr
from necomimi.gui.playback import PlaybackReceiver
from necomimi.gui.playback_bar import clock_time
from necomimi.gui.receiver import Receiver
from necomimi.gui.session_report import N_DECISIONS
from necomimi.gui.settings import Settings
from necomimi.gui.theme import DARK, LIGHT
from necomimi.gui.window import ViewerWindow

from .screen import is_color, pixels
from .synthetic import GALLERY, synthetic

pytestmark = pytest.mark.qt

ROOT = Path(__file__).parents[2]
DEADLINE_S = 30.0
RECORDED_S = 150.0
Key = QtCore.Qt.Key
CONTROL, SHIFT = QtCore.Qt.KeyboardModifier.ControlModifier, QtCore.Qt.KeyboardModifier.ShiftModifier


class Recording:
    """Takes a publisher's place: writes what a made-up decoder says to a file."""

    def __init__(self, path: Path) -> None:
        self.recorder = FeedRecorder(path)
        self.now = 1000.0

    def send(self, record: Any) -> None:
        self.recorder.write(Message(self.now, *encode(record)))


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Record minutes of a decoder whose labels are not as harmless as they look."""
    path = tmp_path_factory.mktemp("recording") / "session.feed"
    sink = Recording(path)
    options: dict[str, Any] = {"n_channels": 4, "sfreq": 100.0, "rate": 2.0, "refuse": 0.2, "generator": "embedded"}
    decoder = synthetic.SyntheticDecoder(sink, GALLERY.classes, size=16, **options)
    for _ in range(round(RECORDED_S * 20)):
        sink.now += 0.05
        decoder.advance(sink.now)
    sink.recorder.close()
    return path


class Wall:
    def __init__(self) -> None:
        self.now = 10.0

    def __call__(self) -> float:
        return self.now


Opened = Callable[..., Any]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Opened]:
    """Open windows that are closed after the test; of a recording, or of a feed that nobody publishes."""
    windows, walls, publisher = [], [], Publisher("tcp://127.0.0.1:*")

    def open_window(path: Path | None = None, settings: Settings | None = None) -> Any:
        wall = Wall()
        receiver = Receiver(publisher.address) if path is None else PlaybackReceiver(path, wall)
        window = ViewerWindow(DisplayState(GALLERY, "here"), receiver, DARK)
        if settings is not None:
            window.restore(settings)
        window.show()
        receiver.start()
        if isinstance(receiver, PlaybackReceiver):
            receiver.wait_for_length()
        windows.append(window)
        walls.append(wall)
        window.wall = wall
        return window

    yield open_window
    for window in windows:
        window.close()
    publisher.close()


def press(window: Any, key: Any, modifier: Any = QtCore.Qt.KeyboardModifier.NoModifier) -> None:
    """Press a key where the focus is."""
    if not window.isActiveWindow():  # offscreen, a dialog that closes leaves no window active
        window.activateWindow()
        assert QtTest.QTest.qWaitForWindowActive(window)
    QtTest.QTest.keyClick(QtWidgets.QApplication.focusWidget() or window, key, modifier)
    QtWidgets.QApplication.processEvents()


def choose(window: Any, *names: str) -> None:
    """Trigger the entry of a menu by the words that stand there."""
    actions = window.menuBar().actions()
    for name in names:
        action = next(action for action in actions if action.text() == name)
        actions = action.menu().actions() if action.menu() is not None else []
    action.trigger()
    QtWidgets.QApplication.processEvents()


def share(area: np.ndarray, color: str, tolerance: int = 6) -> float:
    """Return the share of an area that has a colour."""
    return float(is_color(area, color, tolerance).mean())


def words_of(menu: Any) -> list[str]:
    """Return all that stands in a menu and the menus within it."""
    words = []
    for action in menu.actions():
        words.append(action.text())
        if action.menu() is not None:
            words += words_of(action.menu())
    return [word for word in words if word]


# -- keys and menus


def test_keys_change_colours_and_close(opened: Opened) -> None:
    window = opened()
    press(window, Key.Key_T)
    assert (window.theme, window.theme_choice) == (LIGHT, "light")
    assert share(pixels(window.accuracy), LIGHT.panel) > 0.5
    choose(window, "&View", "Theme", "Dark")
    assert window.theme is DARK
    press(window, Key.Key_T, CONTROL)
    assert window.theme_choice == "auto"
    press(window, Key.Key_Q)
    assert not window.isVisible()


def test_m_takes_the_menu_bar_away_and_its_keys_stay(opened: Opened) -> None:
    window = opened()
    assert window.menuBar().isVisible()
    press(window, Key.Key_M)
    assert not window.menuBar().isVisible()
    press(window, Key.Key_T)
    assert window.theme is LIGHT
    press(window, Key.Key_M)
    assert window.menuBar().isVisible()
    press(window, Key.Key_F11)
    assert window.isFullScreen()
    assert not window.menuBar().isVisible()
    press(window, Key.Key_F11)
    assert not window.isFullScreen()
    assert window.menuBar().isVisible()


@pytest.mark.parametrize("theme", [DARK, LIGHT])
def test_menus_wear_the_theme(opened: Opened, theme: Any) -> None:
    window = opened()
    window.set_theme_choice(theme.name)
    menu = window.menuBar().actions()[0].menu()
    menu.popup(window.mapToGlobal(QtCore.QPoint(0, 0)))
    menu.setActiveAction(menu.actions()[0])
    shown = pixels(menu)
    menu.close()
    assert share(shown, theme.panel) > 0.5
    assert share(shown, theme.line) > 0.1  # the entry below the pointer
    assert share(shown, theme.text, 40) > 0.005
    assert share(pixels(window.menuBar()), theme.window) > 0.8


def test_every_entry_of_the_menus_has_a_key_and_every_key_stands_on_the_sheet(opened: Opened, recording: Path) -> None:
    window = opened(recording)
    press(window, Key.Key_F1)
    sheet = window._keys
    assert sheet.isVisible()
    listed = {key for section in sheet.sections for keys, _ in section.keys for key in keys.split()}
    switched_by_one_key = {"Dark", "Light", "English", "日本語"}
    first, last = "Ctrl+1", f"Ctrl+{len(window.panels)}"
    for name, action in window._menus.actions.items():
        keys = [key.toString() for key in action.shortcuts()]
        if action.text() in switched_by_one_key:
            continue
        assert keys, name
        if action.text() not in {panel.title for panel in window.panels}:
            assert {key.replace("Left", "←").replace("Right", "→") for key in keys} <= listed, name
    assert {first, "…", last} <= listed
    names = {"Up": "↑", "Down": "↓", "Left": "←", "Right": "→", "Escape": "Esc"}
    for file in (ROOT / "gui").glob("*view.py"):  # what the panels take themselves
        for key in re.findall(r"key\.Key_(\w+)", file.read_text(encoding="utf-8")):
            assert names.get(key, key) in listed | {"Esc"}, f"{file.name}: {key}"


def test_no_two_entries_share_a_key(opened: Opened, recording: Path) -> None:
    keys = [key.toString() for action in opened(recording)._menus.actions.values() for key in action.shortcuts()]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("name", ["en", "ja"])
def test_the_sheet_of_keys_comes_and_goes_and_fits(opened: Opened, recording: Path, name: str) -> None:
    window = opened(recording)
    window.set_language_choice(name)
    press(window, Key.Key_Question)
    sheet = window._keys
    assert sheet.isVisible()
    assert sheet.sections[0].title == {"en": "File", "ja": "ファイル"}[name]
    assert all("&" not in words + section.title for section in sheet.sections for _, words in section.keys)
    for width, height in ((1280, 800), (700, 560)):
        window.resize(width, height)
        QtWidgets.QApplication.processEvents()
        assert sheet.size() == window.centralWidget().size()
        assert QtCore.QRectF(sheet.rect()).contains(sheet.sheet_rect())
    assert share(pixels(sheet), window.theme.accent, 30) > 0.0005
    press(window, Key.Key_A)  # nothing below hears it
    assert sheet.isVisible()
    press(window, Key.Key_Escape)
    assert not sheet.isVisible()
    assert QtWidgets.QApplication.focusWidget() is window.traces
    press(window, Key.Key_F1)
    press(window, Key.Key_F1)
    assert not sheet.isVisible()


class Witness(QtWidgets.QWidget):
    """Notes whether garbage may be collected when its colours change."""

    def __init__(self, parent: Any) -> None:
        super().__init__(parent)
        self.told: list[bool] = []

    def changeEvent(self, event: Any) -> None:
        if event.type() in (QtCore.QEvent.Type.PaletteChange, QtCore.QEvent.Type.StyleChange):
            self.told.append(gc.isenabled())


def test_no_closed_window_is_collected_while_qt_tells_all_widgets_of_the_colours(opened: Opened) -> None:
    """It would crash: Qt goes on to the widgets of the closed window."""
    window = opened()
    witness = Witness(window.centralWidget())
    press(window, Key.Key_T)
    assert witness.told
    assert not any(witness.told)
    assert gc.isenabled()


# -- languages


def test_all_words_change_with_the_language(opened: Opened, recording: Path) -> None:
    window = opened(recording)
    window.seek(30.0)
    window.draw()
    before = pixels(window.latency)
    in_english = words_of(window.menuBar())
    press(window, Key.Key_L, CONTROL)
    assert window.language_choice == "ja"
    in_japanese = words_of(window.menuBar())
    titles = [panel.title for panel in window.panels]
    assert titles[1] == "遅延"
    place = in_japanese.index(titles[0])
    assert in_japanese[place : place + len(titles)] == titles
    others = [
        i for i in range(len(in_english)) if in_english[i] in JAPANESE and i not in range(place, place + len(titles))
    ]
    assert len(others) >= 20
    assert [in_japanese[i] for i in others] == [JAPANESE[in_english[i]] for i in others]
    assert {"5秒戻る", "30秒進む", "日本語", "English"} <= set(in_japanese)
    assert window.latency.title == window.latency.accessibleName() == "遅延"
    assert (pixels(window.latency) != before).any()
    press(window, Key.Key_L, CONTROL)
    assert words_of(window.menuBar()) == in_english
    assert (pixels(window.latency) == before).all()


def test_a_desktop_without_japanese_letters_is_told_once(
    opened: Opened, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    window = opened()
    language._warn_once.cache_clear()
    with caplog.at_level(logging.WARNING):
        if QtGui.QFontDatabase.families(QtGui.QFontDatabase.WritingSystem.Japanese):
            window.set_language_choice("ja")
            assert caplog.text == ""
        monkeypatch.setattr(QtGui.QFontDatabase, "families", lambda *_: [])
        window.set_language_choice("en")
        assert caplog.text == ""
        window.set_language_choice("ja")
        window.set_language_choice("ja")
    assert caplog.text.count("fonts-noto-cjk") == 1


# -- panels and layout


def test_panels_go_and_come_back(opened: Opened) -> None:
    window = opened()
    window.draw()
    for number, panel in enumerate(window.panels, start=1):
        if panel is window.imagined:
            continue
        assert panel.isVisible()
        press(window, getattr(Key, f"Key_{number}"), CONTROL)
        assert not panel.isVisible()
        choose(window, "&View", "Panels", panel.title)
        assert panel.isVisible()


def test_where_all_panels_of_a_side_are_hidden_the_other_has_the_room(opened: Opened) -> None:
    window = opened()
    width = window.traces.width()
    for panel in (window.image, window.retrieval, window.accuracy):
        window.show_panel(panel.name, False)
    QtWidgets.QApplication.processEvents()
    assert window.traces.width() > width + 200
    window.show_panel(window.accuracy.name, True)
    QtWidgets.QApplication.processEvents()
    assert window.traces.width() < width + 200
    assert window.accuracy.isVisible()


def test_painted_pictures_come_only_where_they_are_wanted(opened: Opened, recording: Path) -> None:
    window = opened(recording)
    window.show_panel("Imagined", False)
    window.seek(10.0)
    window.draw()
    assert window.n_places == 2
    assert not window.imagined.isVisible()
    window.show_panel("Imagined", True)
    assert window.imagined.isVisible()


def sizes(window: Any) -> dict[str, list[int]]:
    return {part.objectName(): part.sizes() for part in window.splitters()}


def test_the_layout_is_found_again(opened: Opened, tmp_path: Path, recording: Path) -> None:
    path = tmp_path / "viewer.ini"
    window = opened(recording, Settings(path))
    window.seek(10.0)
    window.draw()
    window.setGeometry(10, 30, 780, 700)
    window.set_theme_choice("light")
    window.set_language_choice("ja")
    window.show_menus(False)
    window.show_panel("Accuracy", False)
    QtWidgets.QApplication.processEvents()
    for part, change in (("left", 60), ("whole", -30), ("pair", 10)):
        widget = next(widget for widget in window.splitters() if widget.objectName() == part)
        first, *rest = widget.sizes()
        widget.setSizes([first - change, rest[0] + change, *rest[1:]])
    QtWidgets.QApplication.processEvents()
    left = sizes(window)
    window.close()

    again = opened(recording, Settings(path))
    again.seek(10.0)
    again.draw()
    QtWidgets.QApplication.processEvents()
    assert again.geometry() == QtCore.QRect(10, 30, 780, 700)
    assert (again.theme, again.theme_choice, again.language_choice) == (LIGHT, "light", "ja")
    assert not again.menuBar().isVisible()
    assert not again.accuracy.isVisible()
    assert tr("Latency") == "遅延"
    for name, pixels_then in left.items():
        np.testing.assert_allclose(sizes(again)[name], pixels_then, atol=3)

    press(again, Key.Key_0, CONTROL)
    QtWidgets.QApplication.processEvents()
    screen = QtGui.QGuiApplication.primaryScreen().availableGeometry().size()
    assert again.size() == QtCore.QSize(1520, 920).boundedTo(screen)
    assert again.accuracy.isVisible()
    assert again.menuBar().isVisible()
    assert Settings(path).load().hidden == ()
    assert Settings(path).load().sizes == {}


def test_without_settings_nothing_is_kept(opened: Opened, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NECOMIMI_VIEWER_SETTINGS", str(tmp_path / "viewer.ini"))
    opened().close()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ((100, 50, 800, 600), (100, 50, 800, 600)),
        ((-300, 50, 800, 600), (-300, 50, 800, 600)),  # half of it can still be seen, and reached
        ((2000, 100, 800, 600), (2000, 100, 800, 600)),  # on the second screen
        ((9000, 9000, 800, 600), (240, 150, 800, 600)),  # on none
        ((100, 50, 5000, 4000), (100, 50, 1280, 900)),
        ((100, -900, 800, 600), (240, 150, 800, 600)),  # only its lower part
    ],
)
def test_a_window_is_put_where_there_is_a_screen(wanted: tuple[int, ...], expected: tuple[int, ...]) -> None:
    screens = [QtCore.QRect(0, 0, 1280, 900), QtCore.QRect(1280, 0, 1920, 1080)]
    assert visible_geometry(QtCore.QRect(*wanted), screens) == QtCore.QRect(*expected)


# -- playback


def test_the_window_plays_pauses_and_jumps(opened: Opened, recording: Path) -> None:
    window = opened(recording)
    playback = window.playback
    assert "session.feed" in window.windowTitle()
    window.wall.now += 12.0
    window.pull()
    window.draw()
    assert window.state.source(playback.clock()).level == "live"
    n = window.state.n_decisions
    assert n > 15
    press(window, Key.Key_Space)
    assert not playback.is_playing
    window.wall.now += 5.0
    window.pull()
    assert window.state.n_decisions == n
    press(window, Key.Key_Space)
    press(window, Key.Key_Period)
    assert playback.position == pytest.approx(17.0, abs=0.1)
    assert n + 5 <= window.state.n_decisions
    press(window, Key.Key_Right, SHIFT)
    assert playback.position == pytest.approx(47.0, abs=0.1)
    press(window, Key.Key_BracketRight)
    assert playback.speed == 2.0
    window.wall.now += 10.0
    window.pull()
    assert playback.position == pytest.approx(67.0, abs=0.1)
    assert window.traces.window_s == 10.0  # the arrows with Shift are not the panel's
    press(window, Key.Key_BracketLeft)
    press(window, Key.Key_BracketLeft)
    assert playback.speed == 0.5


def test_back_in_time_the_state_is_that_of_then(opened: Opened, recording: Path) -> None:
    played, jumped = opened(recording), opened(recording)
    for window in (played, jumped):
        window.playback.play(False)
    played.seek(40.0)
    for place in (50.0, 90.0, 120.0, 40.0):
        jumped.seek(place)
        jumped.draw()
        assert jumped.image.mark is None or jumped.image.mark in jumped.state.marks
    for window in (played, jumped):
        window.draw()
    assert jumped.state.n_decisions == played.state.n_decisions
    assert [mark.event for mark in jumped.state.marks] == [mark.event for mark in played.state.marks]
    assert jumped.state.status == played.state.status
    np.testing.assert_array_equal(jumped.state.eeg.latest(5.0)[1], played.state.eeg.latest(5.0)[1])
    assert jumped.image.mark.event == played.image.mark.event
    assert jumped.state.accuracy.scores() == played.state.accuracy.scores()
    press(jumped, Key.Key_Left, SHIFT)
    press(jumped, Key.Key_Comma)
    assert jumped.playback.position == pytest.approx(5.0, abs=0.1)
    assert max(mark.event.onset for mark in jumped.state.marks) <= jumped.playback.clock()


def test_the_time_bar_is_clicked_and_dragged(opened: Opened, recording: Path) -> None:
    window = opened(recording)
    bar, playback = window._bar, window.playback
    track = bar.track_rect()
    middle = QtCore.QPoint(round(track.center().x()), round(track.center().y()))
    QtTest.QTest.mouseClick(bar, QtCore.Qt.MouseButton.LeftButton, pos=middle)
    assert playback.position == pytest.approx(playback.length / 2, rel=0.02)
    assert window.state.n_decisions > 50
    QtTest.QTest.mousePress(bar, QtCore.Qt.MouseButton.LeftButton, pos=middle)
    QtTest.QTest.mouseMove(bar, QtCore.QPoint(round(track.left() + track.width() / 4), middle.y()))
    filled = pixels(bar)[round(track.center().y())]
    n_filled = is_color(filled[None], DARK.accent).sum()
    assert n_filled == pytest.approx(track.width() / 4, abs=10)  # the knob follows the pointer
    assert playback.position == pytest.approx(playback.length / 2, rel=0.02)  # the window only when it is let go
    beyond = QtCore.QPoint(round(track.left()) - 500, middle.y())
    QtTest.QTest.mouseRelease(bar, QtCore.Qt.MouseButton.LeftButton, pos=beyond)
    assert playback.position == pytest.approx(playback.length / 4, rel=0.03)
    button = bar.button_rect().center().toPoint()
    QtTest.QTest.mouseClick(bar, QtCore.Qt.MouseButton.LeftButton, pos=button)
    assert not playback.is_playing


def test_the_end_is_said_and_the_last_frame_stays(opened: Opened, recording: Path) -> None:
    window = opened(recording)
    assert window._bar.remark() == ""
    window.wall.now += 10 * RECORDED_S
    window.pull()
    window.draw()
    assert window._bar.remark() == "end of the recording"
    assert window.state.source(window.playback.clock()).level == "live"
    n = window.state.n_decisions
    window.wall.now += 100.0
    window.pull()
    window.draw()
    assert window.state.n_decisions == n
    press(window, Key.Key_Comma)
    assert window._bar.remark() == ""


def test_a_recording_that_was_cut_off_or_damaged_is_said_to_be(opened: Opened, recording: Path, tmp_path: Path) -> None:
    content = recording.read_bytes()
    (tmp_path / "cut.feed").write_bytes(content[:-100])
    cut = opened(tmp_path / "cut.feed")
    cut.wall.now += 10 * RECORDED_S
    cut.pull()
    assert cut._bar.remark() == "end, cut off in the middle of a message"
    damaged = bytearray(content)
    damaged[len(content) // 2] ^= 0xFF
    (tmp_path / "damaged.feed").write_bytes(damaged)
    window = opened(tmp_path / "damaged.feed")
    window.wall.now += 10 * RECORDED_S
    window.pull()
    window.draw()
    assert window._bar.remark() == "damaged from here on"
    assert "damaged at byte" in window.header.warnings()[-1]
    assert window.state.n_decisions > 20


def test_a_live_window_has_neither_bar_nor_menu_for_playback(opened: Opened) -> None:
    window = opened()
    assert window.playback is None
    assert "&Playback" not in words_of(window.menuBar())
    press(window, Key.Key_Space)
    window.seek(5.0)  # nothing to seek in


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.0, "0:00"), (83.4, "1:23"), (3600.0, "1:00:00"), (36061.0, "10:01:01"), (-1.0, "0:00")]
)
def test_times_read_like_a_players(seconds: float, words: str) -> None:
    assert clock_time(seconds) == words


# -- files


def answer_dialog(path: Path | None) -> None:
    """Type a path into the next file dialog and accept it, or reject it."""

    def answer() -> None:
        dialog = QtWidgets.QApplication.activeModalWidget()
        if not isinstance(dialog, QtWidgets.QFileDialog):
            assert time.monotonic() < end
            QtCore.QTimer.singleShot(20, answer)
            return
        if path is None:
            dialog.reject()
            return
        dialog.findChild(QtWidgets.QLineEdit).setText(str(path))
        dialog.accept()

    end = time.monotonic() + DEADLINE_S
    QtCore.QTimer.singleShot(20, answer)


def test_a_screenshot_is_saved_where_the_person_says(opened: Opened, tmp_path: Path) -> None:
    window = opened()
    answer_dialog(tmp_path / "picture")
    press(window, Key.Key_S, CONTROL)
    image = QtGui.QImage(str(tmp_path / "picture.png"))
    assert (image.width(), image.height()) == (window.width(), window.height())
    assert window.notice.isVisible()
    assert window.notice.words == f"saved: {tmp_path / 'picture.png'}"
    QtTest.QTest.mouseClick(window.notice, QtCore.Qt.MouseButton.LeftButton)
    assert not window.notice.isVisible()
    answer_dialog(None)
    press(window, Key.Key_S, CONTROL)
    assert not window.notice.isVisible()


def test_what_cannot_be_saved_is_said_in_the_window(opened: Opened, tmp_path: Path) -> None:
    window = opened()
    window._menus._save(tmp_path / "nowhere" / "picture.png", window.save_screenshot)
    assert "cannot be written" in window.notice.words
    assert share(pixels(window.notice), DARK.trouble, 60) > 0.005


def rows_of(page: str, section: str) -> list[list[str]]:
    """Return the cells of the first table below a heading."""
    table = page[page.index(f"<h2>{section}</h2>") :]
    table = table[: table.index("</table>")]
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in re.findall(r"<tr.*?</tr>", table)]


def test_a_session_report_says_what_the_window_knows(opened: Opened, recording: Path, tmp_path: Path) -> None:
    window = opened(recording)
    for place in (50.0, 100.0, RECORDED_S):
        window.seek(place)
    window.draw()
    answer_dialog(tmp_path / "session.html")
    press(window, Key.Key_R, CONTROL)
    page = (tmp_path / "session.html").read_text(encoding="utf-8")
    state = window.state
    events = dict(row for row in rows_of(page, "Events") if len(row) == 2)
    assert events["events"] == str(state.status.n_events)
    assert events["retrievals"] == str(state.status.n_retrievals)
    assert events["refusals"] == events["– amplitude"] == str(state.status.n_refusals)
    for row, score in zip(rows_of(page, "Accuracy")[1:], state.accuracy.scores(), strict=True):
        low, high = score.interval
        assert row[:2] == [f"top-{score.k}", f"{100 * score.value:.1f} %"]
        assert row[2] == f"{100 * low:.1f}–{100 * high:.1f} %"
        assert row[3] == f"{100 * score.chance:.3g} %"
        assert row[4:] == [str(score.n_hits), str(score.n)]
    latency = {row[0]: row[1:] for row in rows_of(page, "Latency")}
    for name, values in state.latency.percentiles().items():
        assert latency[name] == [f"{value:.2f}" for value in values]
    signal = dict(row for row in rows_of(page, "EEG") if len(row) == 2)
    assert signal["channels"] == "4"
    assert signal["drift"] == "+12 ppm"
    assert signal["samples received"] == str(state.status.n_samples)
    decisions = rows_of(page, "Decisions")[1:]
    decided = list(state.history)
    assert len(decided) > N_DECISIONS
    assert len(decisions) == N_DECISIONS
    for row, mark in zip(decisions, reversed(decided), strict=False):
        assert row[:2] == [str(mark.event.code), mark.event.label.replace("_", " ")]
        assert row[4].startswith(
            {"hit": "right", "five": "among", "miss": "wrong", "refused": "refused: "}[mark.verdict]
        )
    png = re.search(r'<img src="data:image/png;base64,([^"]+)"', page)
    assert png is not None
    assert "session.feed, at 2:" in page


def test_a_session_report_is_of_one_run(opened: Opened, tmp_path: Path) -> None:
    window = opened()
    for onset in (1.0, 100.0):  # the second event has the first one's number: another run
        event = synthetic.Event(onset=onset, label=f"seen_at_{onset:.0f}", code=0)
        window.state.update(synthetic.Refusal(event=event, reason="gap"), onset)
    window.save_report(tmp_path / "session.html")
    decisions = rows_of((tmp_path / "session.html").read_text(encoding="utf-8"), "Decisions")[1:]
    assert [row[1] for row in decisions] == ["seen at 100"]


def test_a_session_report_escapes_what_came_from_outside(opened: Opened, tmp_path: Path) -> None:
    window = opened()
    decoder_says = synthetic.Retrieval(
        event=synthetic.Event(onset=1.0, label="<script>alert(1)</script>", code=0),
        labels=("<b>&", "b"),
        scores=np.array([0.6, 0.4], dtype=np.float32),
        latency_ms={"<i>": 1.0, "total": 2.0},
    )
    window.state.update(decoder_says, 2.0)
    window.set_language_choice("ja")
    window.save_report(tmp_path / "session.html")
    page = (tmp_path / "session.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert "<i>" not in page
    assert "&lt;b&gt;&amp;" in page
    assert '<html lang="ja">' in page
    assert "<h2>解読結果</h2>" in page


def test_a_window_that_saw_nothing_reports_that(opened: Opened, tmp_path: Path) -> None:
    opened().save_report(tmp_path / "session.html")
    page = (tmp_path / "session.html").read_text(encoding="utf-8")
    assert page.count("Nothing was decoded.") == 2
    assert "no EEG has come" in page
    assert "The decoder has not said how many events there were." in page
