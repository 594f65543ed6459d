"""Simulate a subject who watches pictures: settings, seed -> THINGS-EEG2 raw layout (EEG, pictures, picture list)."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from pydantic import Field, model_validator
from rich.progress import Progress

from necomimi.checkpoint import whole_directory
from necomimi.config import Settings, load_settings
from necomimi.console import console, progress
from necomimi.errors import ConfigError, DatasetError
from necomimi.pictures import Concept, concepts, draw_picture, picture_file
from necomimi.simulated_cortex import SFREQ, PictureAxes, Waves, draw_delays, visual_cortex
from necomimi.simulated_person import EEG_NAMES, person_seeds
from necomimi.things_eeg2 import (
    CATCH_CODE,
    RAW_CH_NAMES,
    ImageMetadata,
    RawWriter,
    Split,
    raw_path,
    save_metadata,
)

if TYPE_CHECKING:
    from necomimi.simulated_noise import Noise

__all__ = ["PRESETS", "SimulationSettings", "simulate"]

logger = logging.getLogger(__name__)

SOA = 200  # samples from onset to onset
SEQUENCE = 20  # stimuli, one of them a catch trial
BREAK = (1000, 2001)  # samples after a sequence, from and below
MARGIN = 2000  # samples before the first and after the last stimulus
SURPLUS = 0.03  # share of the pictures that a session shows once more than planned, as happened in the real one
SPLITS: tuple[Split, Split] = ("training", "test")
BATCH = 16  # pictures that a thread draws and embeds at once


class SimulationSettings(Settings):
    """What is simulated.

    Parameters
    ----------
    subjects : int
        People; they see the same pictures, with brains, noise and orders of their own.
    concepts, test_concepts : int
        Training and test concepts; no concept is both.
    pictures : int
        Pictures of each training concept; a test concept has one.
    repetitions, test_repetitions : int
        Presentations of each training and test picture over all sessions.
    sessions : int
        With several, each shows half of the training pictures, in turn, and all test pictures.
    snr : float
        Strength of the responses: 1 is that of a good subject, 0 shows none.
    seed : int
    """

    subjects: int = Field(1, ge=1, le=99)
    concepts: int = Field(ge=2)
    test_concepts: int = Field(ge=2, le=200)
    pictures: int = Field(ge=1, le=99)
    repetitions: int = Field(ge=1)
    test_repetitions: int = Field(ge=1)
    sessions: int = Field(1, ge=1, le=99)
    snr: float = Field(1.0, ge=0.0, le=100.0)
    seed: int = Field(0, ge=0)

    @model_validator(mode="after")
    def _check_counts(self) -> SimulationSettings:
        if self.concepts * self.pictures > 16540:
            raise ValueError(f"{self.concepts} concepts x {self.pictures} pictures; the layout has codes for 16540")
        if self.sessions > 1 and self.sessions % 2:
            raise ValueError(f"{self.sessions} sessions; each shows half of the pictures: 1 or an even number")
        shows = max(1, self.sessions // 2)
        if self.repetitions % shows:
            raise ValueError(f"{self.repetitions} repetitions in {self.sessions} sessions: a multiple of {shows}")
        if self.test_repetitions % self.sessions:
            raise ValueError(f"{self.test_repetitions} test repetitions: a multiple of the {self.sessions} sessions")
        return self


_COUNTS = ("concepts", "test_concepts", "pictures", "repetitions", "test_repetitions", "sessions", "snr")
PRESETS: dict[str, SimulationSettings] = {
    name: SimulationSettings.model_validate(dict(zip(_COUNTS, values, strict=True)))
    for name, values in {
        "full": (480, 200, 10, 4, 80, 4, 1.0),
        "small": (100, 50, 2, 2, 4, 2, 2.0),
        "demo": (400, 200, 3, 2, 2, 1, 3.0),
    }.items()
}


@dataclass(frozen=True)
class _PictureSet:
    """The pictures of both splits in the order of their codes, and what the subjects see in them."""

    metadata: ImageMetadata
    features: dict[Split, NDArray[np.float32]]


def _choose(settings: SimulationSettings) -> dict[Split, list[Concept]]:
    """Draw training and test concepts, each sorted by name."""
    known = concepts()
    wanted = settings.concepts + settings.test_concepts
    if wanted > len(known):
        raise ConfigError(
            f"{settings.concepts} training and {settings.test_concepts} test concepts",
            f"at most {len(known)} together: the embedded picture set has no more",
        )
    order = np.random.default_rng(settings.seed).permutation(len(known))[:wanted]
    train, test = np.sort(order[: settings.concepts]), np.sort(order[settings.concepts :])
    return {"training": [known[i] for i in train], "test": [known[i] for i in test]}


def _make_pictures(settings: SimulationSettings, folder: Path, bar: Progress) -> _PictureSet:
    """Draw and save all pictures and the list of them; return what the subjects see in them."""
    from necomimi.embedders import build_embedder, in_threads

    embedder = build_embedder("embedded")
    shown: dict[Split, list[tuple[Path, Concept, int]]] = {}
    embeddings: dict[Split, NDArray[np.float32]] = {}

    def make(batch: list[tuple[Path, Concept, int]]) -> NDArray[np.float32]:
        drawn = [draw_picture(concept, exemplar, settings.seed) for _, concept, exemplar in batch]
        for (path, _, _), picture in zip(batch, drawn, strict=True):
            path.parent.mkdir(parents=True, exist_ok=True)
            picture.save(path, quality=90)
        return embedder.embed(drawn)

    task = bar.add_task("pictures", total=settings.concepts * settings.pictures + settings.test_concepts)
    for split, chosen in _choose(settings).items():
        shown[split] = [
            (
                folder / f"{split}_images" / f"{number:05d}_{concept.name}" / picture_file(concept.name, i),
                concept,
                i,
            )
            for number, concept in enumerate(chosen, 1)
            for i in range(settings.pictures if split == "training" else 1)
        ]
        parts = []
        for part in in_threads(make, [shown[split][i : i + BATCH] for i in range(0, len(shown[split]), BATCH)]):
            parts.append(part)
            bar.advance(task, len(part))
        embeddings[split] = np.concatenate(parts)
    metadata = ImageMetadata(
        train_concepts=tuple(path.parent.name for path, _, _ in shown["training"]),
        train_files=tuple(path.name for path, _, _ in shown["training"]),
        test_concepts=tuple(path.parent.name for path, _, _ in shown["test"]),
        test_files=tuple(path.name for path, _, _ in shown["test"]),
    )
    save_metadata(folder / "image_metadata.npy", metadata)
    groups = np.repeat(np.arange(settings.concepts), settings.pictures)
    axes = PictureAxes.fit(embeddings["training"], groups)
    return _PictureSet(metadata, {split: axes.describe(embeddings[split]) for split in SPLITS})


def _present(codes: NDArray[np.int64], rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Lay presentations out in sequences, each with one catch trial at a random place.

    Parameters
    ----------
    codes : ndarray of int, shape (n_presentations,)

    Returns
    -------
    onsets, codes : ndarray of int, shape (n_stimuli,)
        Samples, and codes with the catch trials.
    n_samples : int
        Length of the recording.
    """
    shuffled = rng.permutation(codes)
    onsets, shown, now = [], [], MARGIN
    for start in range(0, len(shuffled), SEQUENCE - 1):
        part = shuffled[start : start + SEQUENCE - 1]
        part = np.insert(part, rng.integers(len(part) + 1), CATCH_CODE)
        onsets.append(now + SOA * np.arange(len(part)))
        shown.append(part)
        now += SOA * len(part) + int(rng.integers(*BREAK))
    return np.concatenate(onsets), np.concatenate(shown), now + MARGIN


def _session_codes(settings: SimulationSettings, session: int, split: Split, rng: np.random.Generator) -> NDArray[Any]:
    """Return the codes that a session (from 1) shows, as often as it shows them."""
    if split == "test":
        codes = np.arange(1, settings.test_concepts + 1)
        times = settings.test_repetitions // settings.sessions
    else:
        codes = np.arange(1, settings.concepts * settings.pictures + 1)
        if settings.sessions > 1:
            codes = codes[session % 2 :: 2]
        times = settings.repetitions // max(1, settings.sessions // 2)
    surplus = rng.uniform(size=len(codes)) < SURPLUS
    return np.repeat(codes, times + surplus)


def _write_recording(
    path: Path,
    onsets: NDArray[np.int64],
    codes: NDArray[np.int64],
    n_samples: int,
    waves: Waves,
    amplitudes: NDArray[np.float32],
    noise: Noise,
    rng: np.random.Generator,
    bar: Progress,
) -> None:
    """Write one raw file block by block; row 0 of `amplitudes` is the response to a catch trial."""
    delays = draw_delays(rng, len(onsets))
    rows = np.where(codes == CATCH_CODE, 0, codes)
    task = bar.add_task(f"{path.parent.parent.name} {path.parent.name} {path.stem}", total=n_samples)
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = ["eeg"] * len(EEG_NAMES) + ["stim"]
    with RawWriter(path, n_samples, RAW_CH_NAMES, SFREQ, kinds) as writer:
        for start, block in noise.blocks(n_samples):
            stop = start + block.shape[1]
            block += waves.evoked(start, stop, onsets, delays, amplitudes, rows)
            stim = np.zeros((1, stop - start), dtype=np.float32)
            inside = (onsets >= start) & (onsets < stop)
            stim[0, onsets[inside] - start] = codes[inside]
            writer.write(np.concatenate([block, stim]), start)
            bar.advance(task, stop - start)


def _write_subject(settings: SimulationSettings, subject: int, pictures: _PictureSet, out: Path, bar: Progress) -> None:
    """Write all recordings of one subject (from 1)."""
    from necomimi.simulated_noise import Noise

    brain, head, session_seeds = person_seeds(settings.seed, subject, settings.sessions)
    waves = visual_cortex(EEG_NAMES, np.random.default_rng(brain))
    amplitudes = {}
    for split in SPLITS:
        catch = np.zeros((1, pictures.features[split].shape[1]), dtype=np.float32)
        seen = np.concatenate([catch, pictures.features[split]])
        amplitudes[split] = np.float32(settings.snr) * waves.amplitudes(seen)
    for session, session_seed in enumerate(session_seeds, 1):
        cap, *recording_seeds = session_seed.spawn(3)
        for split, recording_seed in zip(SPLITS, recording_seeds, strict=True):
            noise_seed, order_seed = recording_seed.spawn(2)
            rng = np.random.default_rng(order_seed)
            onsets, codes, n_samples = _present(_session_codes(settings, session, split, rng), rng)
            noise = Noise(EEG_NAMES, head, cap, noise_seed)
            path = raw_path(out, subject, session, split)
            _write_recording(path, onsets, codes, n_samples, waves, amplitudes[split], noise, rng, bar)
        logger.info("subject %d, session %d: bad channel %s", subject, session, noise.bad_channel or "none")


def simulate(settings: SimulationSettings, out: Path) -> None:
    """Simulate subjects and write them in the THINGS-EEG2 raw layout.

    The same settings give the same files. ``OUT`` appears when it is complete.

    Parameters
    ----------
    settings : SimulationSettings
    out : Path
        The folder to make; it may exist, empty.

    Raises
    ------
    DatasetError
        `out` is there and is not an empty folder.
    ConfigError
        There are not so many concepts.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise DatasetError(f"{out} is there and is not empty", "a new folder", "name another, or remove it")
    with whole_directory(out) as partial, progress() as bar:
        (partial / "image_set").mkdir()
        pictures = _make_pictures(settings, partial / "image_set", bar)
        for subject in range(1, settings.subjects + 1):
            _write_subject(settings, subject, pictures, partial, bar)


def command(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to make.")],
    preset: Annotated[str, typer.Option(help=f"Defaults of the other options: {', '.join(PRESETS)}.")] = "small",
    subjects: Annotated[int | None, typer.Option(help="People.")] = None,
    concepts: Annotated[int | None, typer.Option(help="Training concepts.")] = None,
    test_concepts: Annotated[int | None, typer.Option(help="Test concepts, none of them a training concept.")] = None,
    pictures: Annotated[int | None, typer.Option(help="Pictures of each training concept.")] = None,
    repetitions: Annotated[int | None, typer.Option(help="Presentations of each training picture.")] = None,
    test_repetitions: Annotated[int | None, typer.Option(help="Presentations of each test picture.")] = None,
    sessions: Annotated[int | None, typer.Option(help="1, or an even number.")] = None,
    snr: Annotated[float | None, typer.Option(help="Strength of the responses; 0 for none.")] = None,
    seed: Annotated[int | None, typer.Option(help="Another seed is another data set.")] = None,
) -> None:
    """Write a simulated subject in the THINGS-EEG2 raw layout.

    Example: necomimi simulate subject/ --preset demo --seed 1
    """
    if preset not in PRESETS:
        raise ConfigError(f"--preset {preset!r}", ", ".join(PRESETS))
    values = {
        "subjects": subjects, "concepts": concepts, "test_concepts": test_concepts, "pictures": pictures,
        "repetitions": repetitions, "test_repetitions": test_repetitions, "sessions": sessions, "snr": snr,
        "seed": seed,
    }  # fmt: skip
    given = {key: value for key, value in values.items() if value is not None}
    settings = load_settings(SimulationSettings, overrides=PRESETS[preset].model_dump() | given)
    simulate(settings, out)
    counts = f"{settings.concepts * settings.pictures} training and {settings.test_concepts} test pictures"
    console.print(f"{out}: {settings.subjects} subject(s), {counts}")
