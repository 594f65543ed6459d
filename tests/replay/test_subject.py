"""A simulated person answers the presenter over LSL, to the sample, through restarts; one seed is one person."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from necomimi.errors import ConfigError, StreamLostError
from necomimi.gallery import Gallery
from necomimi.lsl import EEGInlet, Finder, MarkerOutlet, StreamChoice, find_stream, local_clock
from necomimi.replay.outlet import stream_info
from necomimi.replay.subject import DELAY_S, PRESENTER, Amplifier, Subject, play_subject
from necomimi.simulated_cortex import N_TIMES
from necomimi.spaces import EMBEDDED_SPACE


def gallery(names: str) -> Gallery:
    """Return pictures whose embeddings depend on their names alone."""
    vectors = np.stack([np.random.default_rng(ord(name)).normal(size=256) for name in names])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Gallery(
        labels=tuple(names),
        files=tuple(f"{name}/{name}_1.jpg" for name in names),
        embeddings=vectors.astype(np.float32),
        space=EMBEDDED_SPACE,
    )


def amplifier(names: str = "ab", recording: int | None = 3, **settings: object) -> Amplifier:
    """Return an amplifier whose noise is the same at each call, or fresh for None."""
    seed = None if recording is None else np.random.SeedSequence(recording)
    return Amplifier(Subject(pictures=Path("pictures"), **settings), gallery(names), seed)  # type: ignore[arg-type]


def evoked(person: Amplifier, name: str) -> np.ndarray:
    """Return what a picture evokes without jitter, in volts, shape (63, N_TIMES)."""
    zero = np.zeros((1, 3), dtype=np.int64)
    row = np.array([1 + person._gallery.labels.index(name)])
    return person._waves.evoked(0, N_TIMES, np.array([0]), zero, person._amplitudes, row)


def test_the_same_seed_is_the_same_brain_for_two_folders_and_another_is_another() -> None:
    first, second = amplifier("abc"), amplifier("cd")
    np.testing.assert_allclose(evoked(first, "c"), evoked(second, "c"), atol=1e-10)
    assert np.abs(evoked(first, "c") - evoked(first, "a")).max() > 1e-6
    other = amplifier("cd", seed=1)
    assert np.corrcoef(evoked(other, "c").ravel(), evoked(second, "c").ravel())[0, 1] < 0.9
    assert stream_info(first.timeline).source_id == stream_info(second.timeline).source_id
    assert stream_info(first.timeline).source_id != stream_info(other.timeline).source_id


def test_a_session_is_a_cap_and_a_recording_is_noise_of_its_own() -> None:
    caps = [amplifier(session=session) for session in (1, 2, 1)]
    offsets = [person.timeline.read(0, 2000).mean(axis=1) for person in caps]
    assert caps[0].bad_channel == caps[2].bad_channel
    np.testing.assert_array_equal(offsets[0], offsets[2])
    assert np.abs(offsets[0] - offsets[1]).max() > 1e-3
    fresh = [amplifier(recording=None).timeline.read(0, 2000) for _ in range(2)]
    assert np.abs(fresh[0] - fresh[1]).max() > 1e-5
    assert np.abs(fresh[0].mean(axis=1) - offsets[0]).max() < 0.2e-3


def test_strength_is_a_factor() -> None:
    np.testing.assert_allclose(evoked(amplifier(snr=6.0), "a"), 6 * evoked(amplifier(snr=1.0), "a"), atol=1e-10)
    assert not evoked(amplifier(snr=0.0), "a").any()


def test_the_tape_is_read_without_a_seam() -> None:
    whole, parts = amplifier().timeline, amplifier().timeline
    cuts = [0, 5, 32_768, 40_000, 65_541, 70_000]
    pieces = [parts.read(a, b) for a, b in pairwise(cuts)]
    np.testing.assert_array_equal(np.concatenate(pieces, axis=1), whole.read(0, 70_000))


@pytest.mark.parametrize("settings", [{"snr": -1.0}, {"snr": float("nan")}, {"seed": -1}, {"session": 0}])
def test_figures_out_of_bounds_are_refused(settings: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"--{next(iter(settings))}"):
        Subject(pictures=Path("pictures"), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["subject:{}", "--subject", "1"], "--subject with subject:"),
        (["subject:{}", "--loop", "--speed", "2"], "--speed, --loop with subject:"),
        (["subject:{}", "--wait", "1"], "--wait with subject:"),
        (["subject:{}"], "holds no pictures"),
        (["subject:{}/absent"], "is not a folder"),
        (["synthetic:63x1000x5", "--snr", "1", "--markers-name", "x"], "--snr, --markers-name with synthetic:"),
    ],
)
def test_options_that_do_not_fit_are_refused(
    arguments: list[str], found: str, tmp_path: Path, refused: Callable[..., str]
) -> None:
    assert found in refused("replay", *(argument.format(tmp_path) for argument in arguments))


def test_the_presenter_is_answered_by_default() -> None:
    assert (
        Subject(pictures=Path("pictures")).markers == PRESENTER == StreamChoice(type="Markers", name="necomimi-present")
    )


class Listener:
    """A person who plays in one thread, and what listens to the EEG in another."""

    def __init__(self, person: Amplifier, name: str) -> None:
        self.stopping = threading.Event()
        arguments = (person, name, 5, self.stopping.is_set)
        self.player = threading.Thread(target=play_subject, args=arguments)
        self.player.start()
        self.inlet = EEGInlet(find_stream(Finder(name=name), 30.0))
        self.samples: list[np.ndarray] = []
        self.stamps: list[np.ndarray] = []
        self.ages: list[float] = []
        self.thread = threading.Thread(target=self._pull)
        self.thread.start()

    def _pull(self) -> None:
        while not self.stopping.is_set():
            try:
                samples, stamps = self.inlet.pull(0.05)
            except StreamLostError:  # the player has ended first
                return
            if len(stamps):
                self.samples.append(samples.copy())
                self.stamps.append(stamps.copy())
                self.ages.append(local_clock() - stamps[-1])

    def stop(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the samples in volts, shape (63, n), and their stamps."""
        self.stopping.set()
        self.thread.join()
        self.player.join()
        self.inlet.close()
        return np.concatenate(self.samples).T * 1e-6, np.concatenate(self.stamps)


@pytest.fixture
def listeners() -> Iterator[list[Listener]]:
    started: list[Listener] = []
    yield started
    for listener in started:
        listener.stopping.set()


def present(outlet: MarkerOutlet, label: str, n: int, period: float = 0.8) -> list[float]:
    """Send markers as a presenter does, each when it is due; return their stamps."""
    assert outlet.wait_for_consumers(30.0)
    time.sleep(1.0)  # the person asks for the offset of the clocks, which takes 0.7 s
    onsets = []
    for _ in range(n):
        time.sleep(period)
        onsets.append(local_clock())
        outlet.push(label, onsets[-1])
    return onsets


@pytest.mark.lsl
def test_over_lsl_the_average_is_the_evoked_response_and_a_presenter_may_come_back(
    listeners: list[Listener], capsys: pytest.CaptureFixture[str], request: pytest.FixtureRequest
) -> None:
    name = request.node.name
    choice = StreamChoice(type="Markers", name=f"{name}-presenter")
    person = amplifier("ab", snr=100.0, markers=choice)
    listener = Listener(person, name)
    listeners.append(listener)
    presenter = MarkerOutlet(f"{name}-presenter", f"{name}-presenter-id")
    onsets = {"a": present(presenter, "a_1", 10)}
    time.sleep(0.5)  # what was sent last is still on its way when an outlet closes
    del presenter
    presenter = MarkerOutlet(f"{name}-presenter", f"{name}-presenter-id")
    onsets["b"] = present(presenter, "b_1", 10)
    presenter.push("a_1", local_clock() - 5.0)
    presenter.push("present/end", local_clock())
    time.sleep(1.5)
    data, stamps = listener.stop()

    steps = np.diff(stamps)
    np.testing.assert_allclose(steps, 1e-3, atol=0.3e-3)  # no sample is missing
    assert min(listener.ages) > DELAY_S - 1e-3  # none leaves before its time
    for label, times in onsets.items():
        first = np.round((np.array(times) - stamps[0]) * 1000).astype(int)
        epochs = np.stack([data[:, i - 100 : i + N_TIMES] for i in first])
        mean = (epochs - epochs[:, :, :100].mean(axis=2, keepdims=True)).mean(axis=0)[:, 100:]
        model = evoked(person, label)
        strong = np.argsort(np.abs(model).max(axis=1))[-20:]
        assert np.corrcoef(mean[strong].ravel(), model[strong].ravel())[0, 1] > 0.95
        found = [np.vdot(mean[strong, 20 + lag : 600 + lag], model[strong, 20:600]) for lag in range(-15, 16)]
        assert abs(int(np.argmax(found)) - 15) <= 1  # jitter of the waves moves a mean of ten by less
        other = evoked(person, "b" if label == "a" else "a")
        likeness = [np.corrcoef(mean[strong].ravel(), values[strong].ravel())[0, 1] for values in (model, other)]
        assert likeness[0] > likeness[1]
    said = " ".join(capsys.readouterr().err.split())
    assert "20 pictures seen, 0 unknown, 1 too late, 0 in the future" in said
