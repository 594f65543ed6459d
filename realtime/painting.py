"""Paint what was decoded: embedding behind a decision -> GeneratedImage, in a thread of its own, the newest only.

A picture is never worth a decision: one request may wait and a newer one takes its place, the finer picture is left out
where a newer request waits, and whatever fails here costs pictures alone. The thread has the priority of the others:
one of a low priority that is put aside while it holds the interpreter's lock makes all of them wait, as measured on a
busy machine.
"""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from necomimi.decoder import Decoder
from necomimi.diffusion_choices import CHOICES, CLIP_SPACE
from necomimi.errors import CheckpointError, ConfigError, DeviceMemoryError, NecomimiError
from necomimi.generators import Generator, StageChoice, build_generator, check_space, generator_names
from necomimi.lsl import local_clock
from necomimi.records import Event, GeneratedImage

from .latency import LatencyMeter

__all__ = ["PaintRequest", "Painter", "load_painter"]

logger = logging.getLogger(__name__)

SEED = 0  # of every picture: what differs between two of them is what was decoded
STOP_S = 10.0


@dataclass(frozen=True, slots=True)
class PaintRequest:
    """A decision to be painted.

    Parameters
    ----------
    event : Event
    vector : ndarray of float32, shape (n_dims,)
        The decoder's unit-norm embedding behind the decision.
    n_averaged : int
        Presentations behind it.
    needed, decided : float
        Stamp of the last needed sample, and when the decision was published, in seconds on the local clock.
    """

    event: Event
    vector: NDArray[np.float32]
    n_averaged: int
    needed: float
    decided: float


class Painter:
    """Paint decisions one after another; what is submitted while one is painted waits, the newest alone.

    Parameters
    ----------
    decoder : Decoder
        Whose embeddings are painted.
    name : str
        Of the generator.
    build : callable
        Makes the generator of a name; called again with that of a smaller one where the device's memory does not
        suffice.
    stage : {"one", "two", "both"}, optional
        The EEG embedding itself, what the decoder's prior makes of it, or both in one batch; two where the decoder has
        a prior, else one.

    Attributes
    ----------
    n_pictures, n_dropped : int
        Requests that were painted to the end, and those that were not.
    warning : str
        What became of the generator that was asked for, in words; "" while it paints.
    latency : LatencyMeter
        Milliseconds from the published decision: "preview" and "picture".

    Raises
    ------
    ConfigError
        The generator takes embeddings of another space, or there is no prior for a second stage.
    CheckpointError
        Weights are missing or damaged.
    """

    def __init__(
        self, decoder: Decoder, name: str, build: Callable[[str], Generator], stage: StageChoice | None = None
    ) -> None:
        self.n_pictures = self.n_dropped = 0
        self.warning = ""
        self.latency = LatencyMeter()
        self._decoder = decoder
        self._stages = _stages(decoder, stage)
        self._build = build
        self._condition = threading.Condition()
        self._waiting: PaintRequest | None = None
        self._stopping = False
        self._thread: threading.Thread | None = None
        self._name = name
        self._generator: Generator | None = None
        shortage = ""
        try:
            self._generator = self._built()
        except (DeviceMemoryError, torch.OutOfMemoryError) as error:
            shortage = _words(error)
        if shortage:
            self._take_smaller(shortage)

    def start(
        self, show: Callable[[GeneratedImage], None], report: Callable[[str], None] = lambda thread: None
    ) -> None:
        """Start the thread.

        Parameters
        ----------
        show : callable
            Takes each picture.
        report : callable
            Told the thread's name after each request, from the thread.
        """
        self._thread = threading.Thread(target=self._run, args=(show, report), name="paint", daemon=True)
        self._thread.start()

    def submit(self, request: PaintRequest) -> None:
        """Have a decision painted next, in place of any that still waits; returns at once."""
        with self._condition:
            if self._stopping:
                self.n_dropped += 1
                return
            self.n_dropped += self._waiting is not None
            self._waiting = request
            self._condition.notify()

    def stop(self) -> None:
        """Leave out what waits and what is not yet painted to the end, and stop the thread."""
        self._close()
        if self._thread is not None:
            self._thread.join(timeout=STOP_S)

    # -- the thread --------------------------------------------------------------------------------------------------

    def _run(self, show: Callable[[GeneratedImage], None], report: Callable[[str], None]) -> None:
        try:
            with _own_stream(self._decoder.device):
                while self._generator is not None:
                    shortage = self._serve(self._generator, show, report)
                    if not shortage:
                        break
                    self._take_smaller(shortage)
        except Exception as error:  # whatever a generator may raise costs pictures, never a decision
            self._warn(f"{self._name} failed, so there are no more pictures: {_words(error)}")
            logger.debug("the fault of %s", self._name, exc_info=True)
        self._generator = None  # its memory is of use to others
        self._close()

    def _serve(
        self, generator: Generator, show: Callable[[GeneratedImage], None], report: Callable[[str], None]
    ) -> str:
        """Paint until told to stop; return in words what was too large for the device's memory, "" for nothing."""
        try:
            blank = np.eye(1, generator.n_dims, dtype=np.float32).repeat(len(self._stages), axis=0)
            # The first picture pays for much, and what comes before the last can only be told by counting.
            n_passes = sum(1 for _ in generator.stages(blank, self._seeds))
            logger.info("%s paints: %s, %d pixels", generator.name, " and ".join(self._stages), generator.size)
            while (request := self._next()) is not None:
                is_whole = False
                try:
                    is_whole = self._paint(request, generator, n_passes, show)
                finally:
                    with self._condition:
                        self.n_pictures += is_whole
                        self.n_dropped += not is_whole
                report("paint")
        except (DeviceMemoryError, torch.OutOfMemoryError) as error:
            return _words(error)
        return ""

    def _next(self) -> PaintRequest | None:
        """Wait for a request; None when told to stop."""
        with self._condition:
            self._condition.wait_for(lambda: self._waiting is not None or self._stopping)
            request, self._waiting = self._waiting, None
            return request

    def _paint(
        self, request: PaintRequest, generator: Generator, n_passes: int, show: Callable[[GeneratedImage], None]
    ) -> bool:
        """Paint one decision; return whether that was done to the end."""
        if not np.isfinite(request.vector).all():
            logger.warning(
                "event %d is not painted: its embedding of %s is not finite, and %s takes none such",
                request.event.code, self._decoder.space, generator.name,
            )  # fmt: skip
            return False
        started = local_clock()
        embeddings = self._embeddings(request.vector)
        for i, pictures in enumerate(generator.stages(embeddings, self._seeds), start=1):
            painted = local_clock()
            if self._stopping:
                return False
            for stage, pixels in zip(self._stages, pictures, strict=True):
                now = local_clock()
                latency_ms = {
                    "wait": 1e3 * (started - request.decided),
                    "paint": 1e3 * (painted - started),
                    "after_retrieval": 1e3 * (now - request.decided),
                    "total": 1e3 * (now - request.needed),
                }
                show(
                    GeneratedImage(
                        event=request.event,
                        pixels=pixels,
                        seed=SEED,
                        stage=stage,
                        generator=generator.name,
                        preview=i < n_passes,
                        n_averaged=request.n_averaged,
                        latency_ms=latency_ms,
                    )
                )
            self.latency.add({"preview" if i < n_passes else "picture": latency_ms["after_retrieval"]})
            if i < n_passes and self._waiting is not None:
                return False
        return True

    def _embeddings(self, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return what the generator is given, shape (n_stages, n_dims)."""
        return np.concatenate(
            [
                vector[None] if stage == "one-stage" else self._decoder.to_image_space(vector[None], [SEED])
                for stage in self._stages
            ]
        )

    @property
    def _seeds(self) -> list[int]:
        return [SEED] * len(self._stages)

    # -- what becomes of a generator ---------------------------------------------------------------------------------

    def _built(self) -> Generator:
        """Build the generator; one that takes other embeddings than it would be given is refused."""
        generator = self._build(self._name)
        for space in _spaces(self._decoder, self._stages):
            check_space(generator, space)
        return generator

    def _take_smaller(self, shortage: str) -> None:
        """Build the next smaller generator; after the smallest there are no pictures."""
        self._generator = None
        while self._generator is None:
            self._name = CHOICES[self._name].smaller if self._name in CHOICES else ""
            if not self._name:
                self._warn(f"{shortage}; so there are no pictures")
                return
            _free_memory()
            try:
                self._generator = self._built()
                self._warn(f"{shortage}; so {self._name} paints")
            except (NecomimiError, torch.OutOfMemoryError) as error:
                shortage = f"{shortage}; {_words(error)}"

    def _warn(self, words: str) -> None:
        self.warning = f"pictures: {words}"
        logger.warning("%s", self.warning)

    def _close(self) -> None:
        """Take no more requests, and count the one that waits."""
        with self._condition:
            self._stopping = True
            self.n_dropped += self._waiting is not None
            self._waiting = None
            self._condition.notify()


def load_painter(
    decoder: Decoder,
    name: str,
    device: str = "auto",
    *,
    model: str | None = None,
    stage: StageChoice | None = None,
    steps: int | None = None,
) -> Painter:
    """Load a generator that paints a decoder's embeddings.

    Parameters
    ----------
    decoder : Decoder
    name, device, model
        As `necomimi.generators.build_generator` takes them.
    stage : {"one", "two", "both"}, optional
        As `Painter` takes it.
    steps
        As `necomimi.generators.build_generator` takes them.

    Raises
    ------
    ConfigError
        A name or setting is unknown, or the generator takes embeddings of another space.
    CheckpointError
        Weights are missing or damaged.
    NecomimiError
        A package is missing.
    """
    if name not in generator_names():
        raise ConfigError(f"--generator {name!r}", f"none, {', '.join(generator_names())}")
    for space in _spaces(decoder, _stages(decoder, stage)):
        if name in CHOICES and space != CLIP_SPACE:  # told before gigabytes are fetched or loaded in vain
            raise ConfigError(
                f"embeddings of the space {space}",
                f"{CLIP_SPACE}, which the generator {name} takes",
                "a decoder trained on a gallery of that space, or another generator",
            )

    def build(chosen: str) -> Generator:
        options: dict[str, Any] = {"model": model, "clip_norm": decoder.clip_norm}
        if steps is not None:
            options["steps"] = steps
        if chosen != name:  # the smaller one may not know that number of steps, nor be what a hub id names
            options["steps"] = max(n for n in CHOICES[chosen].recipes if n <= (steps or 1))
            options["model"] = model if model is not None and Path(model).is_dir() else None
        return build_generator(chosen, device, **options)

    try:
        return Painter(decoder, name, build, stage)
    except CheckpointError as error:
        others = " (--generator none; or embedded, with a decoder of its space)" if name in CHOICES else ""
        raise CheckpointError(error.found, error.expected, f"{error.remedy}{others}") from error


def _stages(decoder: Decoder, stage: StageChoice | None) -> tuple[Literal["one-stage", "two-stage"], ...]:
    """Return the stages to paint."""
    if decoder.prior is None and stage in ("two", "both"):
        raise ConfigError(f"--stage {stage}: the decoder has no prior", "one", "necomimi train prior, or --stage one")
    if stage == "both":
        return ("one-stage", "two-stage")
    return ("one-stage",) if stage == "one" or decoder.prior is None else ("two-stage",)


def _spaces(decoder: Decoder, stages: Sequence[str]) -> list[str]:
    """Return the space of the embeddings of each stage."""
    two = decoder.prior.space if decoder.prior is not None else ""
    return [decoder.space if stage == "one-stage" else two for stage in stages]


def _words(error: Exception) -> str:
    """Return an error in one line."""
    if isinstance(error, NecomimiError):
        return error.found
    return " ".join(f"{type(error).__name__}: {error}".split())[:300]


def _own_stream(device: torch.device) -> AbstractContextManager[object]:
    """Return what keeps a picture's work on a GPU out of the queue that the decoder's work waits in."""
    if device.type != "cuda":
        return nullcontext()
    torch.cuda.synchronize(device)  # the weights are there before a stream of their own reads them
    return torch.cuda.stream(torch.cuda.Stream(device))


def _free_memory() -> None:
    """Give back what a generator that is gone has held; its networks may lie in cycles, and among what is frozen."""
    is_frozen = gc.get_freeze_count() > 0
    gc.unfreeze()
    gc.collect()
    if is_frozen:
        gc.freeze()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
