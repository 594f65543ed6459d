"""Publish made-up records as a decoder would: seed -> feed. For trying and measuring the viewer without a decoder.

Example: python benchmarks/synthetic_feed.py --seconds 60 --make-gallery /tmp/gallery --refuse 0.05
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from necomimi.feed import DEFAULT_ADDRESS, Publisher
from necomimi.gallery import THUMBNAIL_SIZE, Gallery
from necomimi.lsl import local_clock
from necomimi.records import Chunk, Event, GeneratedImage, Refusal, Retrieval, Status, StreamInfo
from necomimi.things_eeg2 import RAW_CH_NAMES

CHUNKS_PER_S = 20
EPOCH_S = (-0.2, 0.8)  # first and last second of an epoch
STEPS_MS = {"epoch": 1.2, "wait": 0.9, "embed": 3.1, "retrieve": 0.4}
PAINT_S = (0.02, 0.12)  # from an answer to its preview, and to its finer picture


def make_gallery(n_classes: int, seed: int, space: str = "embedded/synthetic") -> Gallery:
    """Return a gallery whose pictures are two-coloured discs, no two alike."""
    rng = np.random.default_rng(seed)
    thumbnails = np.stack([make_disc(THUMBNAIL_SIZE, rng) for _ in range(n_classes)])
    embeddings = rng.normal(size=(n_classes, 16)).astype(np.float32)
    labels = tuple(f"thing_{i:03d}" for i in range(n_classes))
    return Gallery(
        labels=labels,
        files=tuple(f"{i:05d}_{label}/{label}_01b.png" for i, label in enumerate(labels)),
        embeddings=embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True),
        space=space,
        thumbnails=thumbnails,
    )


def make_disc(size: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return a two-coloured disc, uint8 of shape (size, size, 3)."""
    y, x = np.mgrid[:size, :size] - size / 2
    colours = rng.integers(40, 240, (2, 3))
    inside = np.hypot(x, y) < size * rng.integers(18, 44) / 96
    return np.where(inside[..., None], colours[0], colours[1]).astype(np.uint8)


class SyntheticEEG:
    """Background of falling spectrum, an alpha rhythm, blinks: `next` gives consecutive samples."""

    def __init__(self, n_channels: int, sfreq: float, rng: np.random.Generator) -> None:
        self._rng = rng
        self._sfreq = sfreq
        self._n = 0
        self._state = np.zeros((n_channels, 3))
        self._poles = np.exp(-2 * np.pi * np.array([0.5, 4.0, 30.0]) / sfreq)
        self._gains = np.sqrt(1 - self._poles**2) * [12e-6, 8e-6, 5e-6]
        self._alpha = rng.uniform(2e-6, 10e-6, n_channels)
        self._phase = rng.uniform(0, 1.5, n_channels)
        self._blink = np.linspace(1, 0, n_channels) ** 3 * 90e-6

    def next(self, n: int) -> NDArray[np.float32]:
        """Return samples in volts, shape (n_channels, n)."""
        data = np.empty((len(self._state), n))
        for i in range(n):
            self._state = self._state * self._poles + self._gains * self._rng.normal(size=self._state.shape)
            data[:, i] = self._state.sum(axis=1)
        t = (self._n + np.arange(n)) / self._sfreq
        envelope = 0.5 + 0.5 * np.sin(2 * np.pi * 0.13 * t)
        data += self._alpha[:, None] * envelope * np.sin(2 * np.pi * 10 * t + self._phase[:, None])
        data += self._blink[:, None] * np.exp(-((((t % 4.3) - 2) / 0.09) ** 2))
        self._n += n
        return data.astype(np.float32)


class SyntheticDecoder:
    """A decoder's records on a time line that the caller drives.

    Parameters
    ----------
    publisher : Publisher
    classes : tuple of str
    n_channels : int
    sfreq, rate : float
        Samples and events per second.
    hits, refuse : float
        Share of events answered rightly, and refused.
    early : tuple of float
        Seconds from the onset after which there is a provisional answer.
    average : int
        Presentations of one stimulus in succession; answers rest on all there have been.
    sure : float or None
        Probability from which an answer is sure.
    markers : bool
        Whether the events are known to the viewer: without, windows are decoded that have no label.
    warnings : tuple of str
        Of the stream and of the decoder.
    generator : str
        Name of what paints a preview and a finer picture for each final answer; "" where nothing does.
    stages : sequence of str
        Pictures for each.
    size : int
        Of the pictures, pixels.
    """

    def __init__(
        self,
        publisher: Publisher,
        classes: tuple[str, ...],
        *,
        n_channels: int = 63,
        sfreq: float = 1000.0,
        rate: float = 5.0,
        hits: float = 0.4,
        refuse: float = 0.03,
        early: tuple[float, ...] = (),
        average: int = 1,
        sure: float | None = None,
        markers: bool = True,
        warnings: tuple[str, ...] = (),
        generator: str = "",
        stages: Sequence[Literal["one-stage", "two-stage"]] = ("one-stage", "two-stage"),
        size: int = 64,
        seed: int = 0,
    ) -> None:
        self.publisher, self.classes, self.rate = publisher, classes, rate
        self.hits, self.refuse, self.early, self.average = hits, refuse, early, average
        self.sure, self.markers = sure, markers
        self.generator, self.stages, self.size = generator, stages, size
        self.rng = np.random.default_rng(seed)
        cap = RAW_CH_NAMES[:-1]  # of THINGS-EEG2, whose places on the head are known
        self.info = StreamInfo(
            name="synthetic",
            type="EEG",
            source_id="synthetic",
            uid=str(seed),
            ch_names=cap if len(cap) == n_channels else tuple(f"E{i + 1}" for i in range(n_channels)),
            sfreq=sfreq,
            units=("V",) * n_channels,
            warnings=warnings,
        )
        self.eeg = SyntheticEEG(n_channels, sfreq, self.rng)
        self.time: float | None = None
        self.n_samples = self.n_missing = self.n_events = self.n_retrievals = 0
        self.refusals: Counter[str] = Counter()
        self.pending: list[Event] = []
        self.stimulus = ""
        self.provisional: list[tuple[float, float, Event]] = []  # when it is due, until, event
        self.unpainted: list[tuple[float, float, Retrieval]] = []  # when it is due, seconds after the answer, answer
        self.next_event = self.next_status = 0.0

    def advance(self, now: float, *, with_eeg: bool = True) -> None:
        """Publish what a decoder would have published from the last call to `now`."""
        if self.time is None:
            self.time = self.next_status = now - 1 / CHUNKS_PER_S
            self.next_event = now
        n = int((now - self.time) * self.info.sfreq)
        times = self.time + np.arange(n) / self.info.sfreq
        self.time += n / self.info.sfreq
        if with_eeg and n:
            self.publisher.send(Chunk(data=self.eeg.next(n), timestamps=times, info=self.info))
            self.n_samples += n
        elif n:
            self.n_missing += n
        while self.next_event <= now:
            if self.n_events % self.average == 0:
                self.stimulus = str(self.rng.choice(self.classes))
            label = self.stimulus if self.markers else ""
            event = Event(onset=self.next_event, label=label, code=self.n_events)
            self.publisher.send(event)
            self.pending.append(event)
            self.provisional += [(event.onset + until, until, event) for until in self.early]
            self.n_events += 1
            self.next_event += 1 / self.rate
        self.provisional.sort(key=lambda due: due[:2])
        while self.provisional and self.provisional[0][0] <= now:
            _, until, event = self.provisional.pop(0)
            if with_eeg:
                self.publisher.send(self._answer(event, until))
        while self.pending and self.pending[0].onset + EPOCH_S[1] <= now:
            self._decide(self.pending.pop(0), now, with_eeg)
        for due in [due for due in self.unpainted if due[0] <= now]:
            self.unpainted.remove(due)
            self._paint(*due[1:])
        if self.next_status <= now:
            self.next_status = now + 1.0
            self.publisher.send(self.status())

    def _decide(self, event: Event, now: float, with_eeg: bool) -> None:
        """Publish an answer or a refusal."""
        if not with_eeg or self.rng.random() < self.refuse:
            reason = "gap" if not with_eeg else "amplitude"
            self.refusals[reason] += 1
            self.publisher.send(Refusal(event=event, reason=reason, detail="made up"))
            return
        self.n_retrievals += 1
        answer = self._answer(event)
        self.publisher.send(answer)
        if self.generator:
            self.unpainted += [(now + delay, delay, answer) for delay in PAINT_S]

    def _paint(self, delay: float, answer: Retrieval) -> None:
        """Publish a picture of each stage: the preview is the finer picture in large squares."""
        for number, stage in enumerate(self.stages):
            seed = len(self.stages) * answer.event.code + number
            pixels = make_disc(self.size, np.random.default_rng(seed))
            if preview := delay == PAINT_S[0]:
                pixels = pixels[::8, ::8].repeat(8, axis=0).repeat(8, axis=1)
            image = GeneratedImage(
                event=answer.event,
                pixels=pixels,
                seed=seed,
                stage=stage,
                generator=self.generator,
                preview=preview,
                n_averaged=answer.n_averaged,
                latency_ms={"wait": 0.0, "paint": 1e3 * delay, "after_retrieval": 1e3 * delay},
            )
            self.publisher.send(image)

    def _answer(self, event: Event, until: float | None = None) -> Retrieval:
        """Return a final answer, or a provisional one from the signal up to `until` (s)."""
        others = [str(label) for label in self.rng.permutation(self.classes) if label != event.label][:5]
        if event.label and self.rng.random() < self.hits:
            others.insert(int(self.rng.integers(0, 3)) if len(self.classes) > 5 else 0, event.label)
        elif event.label and len(self.classes) <= 5:
            others.append(event.label)
        scores = np.sort(self.rng.dirichlet(np.full(len(others[:5]) + 1, 0.7))[:-1])[::-1]
        latency = {name: float(ms * self.rng.gamma(8, 1 / 8)) for name, ms in STEPS_MS.items()}
        latency["total"] = sum(latency.values()) + 0.3
        return Retrieval(
            event=event,
            labels=tuple(others[:5]),
            scores=scores.astype(np.float32),
            n_averaged=event.code % self.average + 1,
            until=until,
            sure=self.sure is not None and bool(scores[0] >= self.sure),
            warnings=self.info.warnings,
            latency_ms=latency,
        )

    def status(self, state: str = "LIVE") -> Status:
        """Return the account of all that has been published."""
        return Status(
            state=state,  # type: ignore[arg-type]
            message="made up",
            sfreq=self.info.sfreq,
            n_samples=self.n_samples,
            n_missing=self.n_missing,
            n_events=self.n_events,
            n_retrievals=self.n_retrievals,
            n_refusals=sum(self.refusals.values()),
            n_pending=len(self.pending),
            refusals=dict(self.refusals),
            lag_s=0.0,
            latency_ms={},
            n_classes=len(self.classes),
            tmin=EPOCH_S[0],
            tmax=EPOCH_S[1],
            drift_ppm=11.6,
            jitter_ms=0.4,
            warnings=self.info.warnings,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--feed", default=DEFAULT_ADDRESS)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--channels", type=int, default=63)
    parser.add_argument("--sfreq", type=float, default=1000.0)
    parser.add_argument("--rate", type=float, default=5.0, help="events per second")
    parser.add_argument("--classes", default="60", help="a number, or names with commas between them")
    parser.add_argument("--hits", type=float, default=0.4)
    parser.add_argument("--refuse", type=float, default=0.03)
    parser.add_argument("--early", default="", help="milliseconds of provisional answers, with commas between them")
    parser.add_argument("--average", type=int, default=1, help="presentations of one stimulus in succession")
    parser.add_argument("--sure", type=float, help="probability from which an answer is sure")
    parser.add_argument("--without-markers", action="store_true", help="decode windows of which nothing is known")
    parser.add_argument("--generator", default="", help="name of what paints pictures; none by default")
    parser.add_argument("--one-stage", action="store_true", help="one picture for each answer, not two")
    parser.add_argument("--size", type=int, default=64, help="of the painted pictures, pixels")
    parser.add_argument("--warn", action="append", default=[], metavar="WORDS", help="a warning; may be repeated")
    parser.add_argument("--gap", type=float, nargs=2, metavar=("FROM", "TO"), help="no EEG between these seconds")
    parser.add_argument("--make-gallery", type=Path, help="write a gallery of made-up pictures here")
    parser.add_argument("--gallery", type=Path, help="take the classes from this gallery")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    if options.gallery is not None:
        classes = Gallery.load(options.gallery, thumbnails=False).classes
    elif options.classes.isdigit():
        gallery = make_gallery(int(options.classes), options.seed)
        classes = gallery.classes
        if options.make_gallery is not None:
            gallery.save(options.make_gallery)
    else:
        classes = tuple(options.classes.split(","))
    publisher = Publisher(options.feed)
    decoder = SyntheticDecoder(
        publisher,
        classes,
        n_channels=options.channels,
        sfreq=options.sfreq,
        rate=options.rate,
        hits=options.hits,
        refuse=options.refuse,
        early=tuple(float(ms) / 1e3 for ms in options.early.split(",") if ms),
        average=options.average,
        sure=options.sure,
        markers=not options.without_markers,
        warnings=tuple(options.warn),
        generator=options.generator,
        stages=("one-stage",) if options.one_stage else ("one-stage", "two-stage"),
        size=options.size,
        seed=options.seed,
    )
    print(f"publishing on {publisher.address}", flush=True)
    start = local_clock()
    while (elapsed := local_clock() - start) < options.seconds:
        gap = options.gap is not None and options.gap[0] <= elapsed < options.gap[1]
        decoder.advance(local_clock(), with_eeg=not gap)
        time.sleep(1 / CHUNKS_PER_S)
    publisher.close()


if __name__ == "__main__":
    main()
