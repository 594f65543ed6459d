"""Put an amplifier on a simulated person who watches a presenter: "subject:PICTURES", markers -> EEG on LSL.

The signal never ends, and nothing of it is known in advance: noise is made in blocks while it plays, and each marker of
the presenter starts the response of the visual cortex to its picture.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from necomimi.console import console, progress
from necomimi.errors import ConfigError
from necomimi.gallery import Gallery
from necomimi.lsl import EEGOutlet, MarkerReader, StreamChoice, local_clock
from necomimi.markers import PRESENTER_NAME
from necomimi.simulated_cortex import SFREQ, visual_cortex
from necomimi.simulated_noise import Noise
from necomimi.simulated_person import EEG_NAMES, load_axes, person_seeds

from .outlet import Player, SampleSink, stream_info
from .timeline import Timeline
from .watcher import Watcher

__all__ = ["DELAY_S", "PRESENTER", "Amplifier", "Subject", "is_subject", "open_subject", "pictures_of", "play_subject"]

PREFIX = "subject:"
PRESENTER = StreamChoice(type="Markers", name=PRESENTER_NAME)
DELAY_S = 0.15  # from a sample's stamp until it leaves, as in an amplifier; markers arrive meanwhile
ENDLESS = 2**40  # samples: 35 years
MAX_SNR, MAX_SESSION = 100.0, 99


def is_subject(source: object) -> bool:
    """Return whether a SOURCE names a simulated person."""
    return str(source).startswith(PREFIX)


def pictures_of(source: object) -> Path:
    """Return the folder of pictures that the SOURCE of a simulated person names."""
    return Path(str(source).removeprefix(PREFIX))


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who watches what.

    Parameters
    ----------
    pictures : Path
        The folder whose pictures are presented.
    snr : float
        Strength of the responses: 1 is that of a good subject, 0 shows none.
    seed : int
        The person: the same one for the same seed, whatever the pictures.
    session : int
        How the cap sits: offsets, mains, and at times a bad channel.
    markers : StreamChoice
        The presenter's stream.

    Raises
    ------
    ConfigError
        A figure is out of bounds.
    """

    pictures: Path
    snr: float = 3.0
    seed: int = 0
    session: int = 1
    markers: StreamChoice = PRESENTER

    def __post_init__(self) -> None:
        if not 0 <= self.snr <= MAX_SNR:
            raise ConfigError(f"--snr {self.snr:g}", f"0 to {MAX_SNR:g}", "1 is a good subject, 3 that of the demo")
        if self.seed < 0:
            raise ConfigError(f"--seed {self.seed}", "0 or more")
        if not 1 <= self.session <= MAX_SESSION:
            raise ConfigError(f"--session {self.session}", f"1 to {MAX_SESSION}")


class Amplifier:
    """The amplifier on a simulated person's head.

    Parameters
    ----------
    subject : Subject
    gallery : Gallery
        The pictures that the person knows, in the space of the embedded embedder.
    recording : SeedSequence, optional
        Of noise and jitter; fresh by default, for no two recordings of a person are alike.

    Attributes
    ----------
    subject : Subject
    timeline : Timeline
        Noise without end and without events; it can only be read on and on.
    bad_channel : str or None
    """

    def __init__(self, subject: Subject, gallery: Gallery, recording: np.random.SeedSequence | None = None) -> None:
        self.subject = subject
        brain, head, sessions = person_seeds(subject.seed, n_sessions=subject.session)
        cap = sessions[-1].spawn(1)[0]
        noise_seed, self._jitter = (recording or np.random.SeedSequence()).spawn(2)
        self._gallery = gallery
        self._waves = visual_cortex(EEG_NAMES, np.random.default_rng(brain))
        features = load_axes().describe(gallery.embeddings)
        shown = np.concatenate([np.zeros_like(features[:1]), features])
        self._amplitudes = np.float32(subject.snr) * self._waves.amplitudes(shown)
        noise = Noise(EEG_NAMES, head, cap, noise_seed)
        self.bad_channel = noise.bad_channel
        self.timeline = Timeline(
            name="simulated person",
            source=f"{PREFIX}{subject.seed}",  # the same device, whatever is presented
            description=f"simulated person {subject.seed}, session {subject.session}, snr {subject.snr:g}, "
            f"who knows {len(gallery)} pictures of {subject.pictures}",
            ch_names=EEG_NAMES,
            ch_types=("EEG",) * len(EEG_NAMES),
            units=("microvolts",) * len(EEG_NAMES),
            sfreq=SFREQ,
            n_times=ENDLESS,
            events=(),
            read=_Tape(noise).read,
        )

    def watch(self, outlet: SampleSink, take: Callable[[], tuple[tuple[str, float], ...]]) -> Watcher:
        """Return what stands between a player and `outlet`, and answers the markers that `take` gives."""
        rng = np.random.default_rng(self._jitter)
        return Watcher(outlet, take, self._waves, self._amplitudes, self._gallery.index_of, rng)


class _Tape:
    """Noise to be read from its beginning on; while one block is read, the next one is made in a thread."""

    def __init__(self, noise: Noise) -> None:
        self._blocks = noise.endless()
        self._block = next(self._blocks)
        self._executor = ThreadPoolExecutor(1, "noise")
        self._next = self._executor.submit(next, self._blocks)
        self._position = self._offset = 0

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return samples, shape (n_channels, stop - start), which must follow those read before."""
        assert start == self._position, "a tape is read on and on"
        parts = []
        while self._position < stop:
            if self._offset == self._block.shape[1]:
                self._block, self._offset = self._next.result(), 0
                self._next = self._executor.submit(next, self._blocks)
            part = self._block[:, self._offset : self._offset + stop - self._position]
            parts.append(part)
            self._offset += part.shape[1]
            self._position += part.shape[1]
        return np.concatenate(parts, axis=1)


class _Silence:
    """Takes the markers of a timeline that has none: they are the presenter's."""

    def push(self, label: str, timestamp: float) -> None:
        raise AssertionError(f"a simulated person sends no marker {label!r}")


def open_subject(subject: Subject) -> Amplifier:
    """Return the amplifier, once the person knows the pictures: they are embedded, or taken from the user's cache.

    Raises
    ------
    DatasetError
        There is no such folder, or a file in it is no picture.
    """
    from necomimi.picture_embedding import embed_folder_once  # and with it torch

    return Amplifier(subject, embed_folder_once(subject.pictures))


def play_subject(amplifier: Amplifier, name: str | None, chunk: int, should_stop: Callable[[], bool]) -> None:
    """Send the EEG of a simulated person until asked to stop; say what it is, and what became of the markers.

    Parameters
    ----------
    amplifier : Amplifier
    name : str, optional
        Of the LSL stream; the timeline's by default.
    chunk : int
        Samples a packet.
    should_stop : callable
        Asked all the time; true ends the playing.
    """
    timeline, choice = amplifier.timeline, amplifier.subject.markers
    info = stream_info(timeline, name)
    wanted = ", ".join(f"{key} {value!r}" for key, value in asdict(choice).items() if value is not None)
    console.print(
        f"{timeline.description}; bad channel: {amplifier.bad_channel or 'none'}\n"
        f"{len(timeline.ch_names)} channels at {timeline.sfreq:g} Hz, {chunk} sample(s) a packet, "
        f"{DELAY_S * 1e3:g} ms after their stamps\n"
        f"LSL stream {info.name!r} (EEG) is in reach; once somebody listens, it answers the markers of {wanted}",
        markup=False,
        soft_wrap=True,
    )
    outlet, reader = EEGOutlet(info), MarkerReader(choice)

    def take() -> tuple[tuple[str, float], ...]:
        # Not before: a presenter that waits for a recorder must not take the person for one.
        if reader.ident is None and outlet.have_consumers():
            reader.start()
        return reader.take()

    watcher = amplifier.watch(outlet, take)
    try:
        with progress() as bar:
            task = bar.add_task("replay", total=None)
            player = Player(
                timeline,
                watcher,
                _Silence(),
                chunk=chunk,
                should_stop=should_stop,
                on_progress=lambda n_samples: bar.advance(task, n_samples),
                clock=lambda: local_clock() - DELAY_S,  # by this clock, samples leave on time and stamped right
            )
            summary = player.run()
    finally:
        reader.stop()
    seen = watcher.seen
    console.print(
        f"stopped: {summary.n_samples} samples; {seen.n_pictures} pictures seen, {seen.n_unknown} unknown, "
        f"{seen.n_late} too late, {seen.n_ahead} in the future; worst lateness {summary.worst_lateness * 1000:.1f} ms",
        soft_wrap=True,
    )
