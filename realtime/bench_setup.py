"""What every measured system is given alike: settings -> amplifier, decoder directory, due times, figures."""

from __future__ import annotations

import json
import math
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from necomimi.errors import ConfigError
from necomimi.gallery import Gallery
from necomimi.generators import build_generator
from necomimi.preprocessing import Preprocessor, n_samples
from necomimi.synthetic import CLASSES, SETTLE_S, Synthetic

from .latency import quantiles

__all__ = ["LSL_CONFIG", "WARM_UP", "Measurement", "Settings", "machine", "random_decoder"]

WARM_UP = 10  # decisions that are not counted: caches are cold
N_OUTPUTS = 512
MODEL_SFREQ, TMIN, TMAX = 250.0, -0.2, 1.0  # Hz, and seconds from the onset
NOISE_V = 15e-6
LSL_CONFIG = "lsl_api.cfg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is measured.

    Parameters
    ----------
    seconds : int
        Length of the measurement.
    n_channels : int
        EEG channels.
    sfreq : float
        The amplifier's rate in Hz.
    chunk : int
        Samples a packet.
    events : float
        Events a second; each shall fall on a packet's first sample, so that packets fall due alike for all.
    encoder : str
        One of `necomimi.encoders.names`.
    generator : str
        What paints the decisions in a second measurement of necomimi, one of `necomimi.generators.NAMES`; "none" for no
        such measurement.
    model : str, optional
        Its weights.

    Raises
    ------
    ConfigError
        Events do not fall on packets, or a figure is out of bounds.
    """

    seconds: int
    n_channels: int = 63
    sfreq: float = 1000.0
    chunk: int = 10
    events: float = 5.0
    encoder: str = "multiblur"
    generator: str = "none"
    model: str | None = None

    def __post_init__(self) -> None:
        period = self.sfreq / self.events if self.events > 0 else 0.0
        if self.chunk < 1 or period < self.chunk or abs(period / self.chunk - round(period / self.chunk)) > 1e-9:
            raise ConfigError(
                f"{self.events:g} events a second at {self.sfreq:g} Hz in packets of {self.chunk} samples",
                "a whole number of packets from event to event",
                "5, 10 or 20 events a second with packets of 10",
            )

    @property
    def amplifier(self) -> Synthetic:
        """The amplifier, long enough for the warm-up and the measurement."""
        length = self.seconds + WARM_UP / self.events + 2 * SETTLE_S
        return Synthetic(n_channels=self.n_channels, sfreq=self.sfreq, events=self.events, seconds=math.ceil(length))

    @property
    def n_epoch(self) -> int:
        """Samples of an epoch at the amplifier's rate."""
        return n_samples(TMIN, TMAX, self.sfreq)

    @property
    def last_s(self) -> float:
        """Time of an epoch's last sample, in seconds from the onset."""
        return (round(TMIN * self.sfreq) + self.n_epoch - 1) / self.sfreq

    @property
    def due_s(self) -> float:
        """When the packet with that sample is due, in seconds from the onset: at the stamp of its own last sample."""
        packet = round(self.last_s * self.sfreq) // self.chunk
        return (packet * self.chunk + self.chunk - 1) / self.sfreq

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name."""
        return asdict(self)

    def save(self, path: Path) -> None:
        """Write a JSON file."""
        path.write_text(json.dumps(self.to_json()), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Settings:
        """Read the JSON file that `save` wrote."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


def random_decoder(settings: Settings, path: Path) -> None:
    """Write a decoder directory whose weights and gallery are random: time does not depend on them.

    Where its decisions are to be painted, its space is the generator's.
    """
    import torch

    from necomimi.decoder import Decoder
    from necomimi.encoders import build

    n_outputs, space = N_OUTPUTS, "bench:random"
    if settings.generator != "none":
        painter = build_generator(settings.generator, model=settings.model)
        n_outputs, space = painter.n_dims, painter.space
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    ch_names = settings.amplifier.ch_names
    embeddings = rng.normal(size=(len(CLASSES), n_outputs)).astype(np.float32)
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    gallery = Gallery(labels=CLASSES, files=("",) * len(CLASSES), embeddings=embeddings, space=space)
    n_times = round((TMAX - max(0.0, TMIN)) * MODEL_SFREQ)
    mixing = np.eye(len(ch_names)) + 0.1 * rng.normal(size=(len(ch_names),) * 2)
    preprocessor = Preprocessor(
        ch_names=ch_names, sfreq=MODEL_SFREQ, tmin=TMIN, tmax=TMAX, baseline=(TMIN, 0.0), start=0.0, n_times=n_times,
        spatial=(mixing / NOISE_V).astype(np.float32),
    )  # fmt: skip
    config: dict[str, Any] = {
        "name": settings.encoder,
        "n_chans": len(ch_names),
        "n_times": n_times,
        "n_outputs": n_outputs,
    }
    Decoder(
        encoder_config=config, encoder=build(**config), preprocessor=preprocessor, space=gallery.space,
        logit_scale=20.0, gallery=gallery,
    ).save(path)  # fmt: skip


class Measurement:
    """Collect one system's figures, less those of its warm-up.

    Parameters
    ----------
    process : psutil.Process
        The process whose CPU time counts.
    """

    def __init__(self, process: psutil.Process) -> None:
        self._process = process
        self._ages: list[float] = []
        self._ready: list[float] = []
        self._decided: list[float] = []
        self._cpu: list[tuple[float, float]] = []  # (seconds on the wall, seconds of CPU) at each decision
        self.n_decisions = 0

    @property
    def is_warm(self) -> bool:
        """Whether the warm-up is over."""
        return self.n_decisions >= WARM_UP

    def pulled(self, age: float) -> None:
        """Take in the age in seconds of the newest sample right after a pull."""
        if self.is_warm:
            self._ages.append(1e3 * age)

    def decided(self, ready: float, decision: float, now: float) -> None:
        """Take in one decision.

        Parameters
        ----------
        ready, decision : float
            Seconds from the due time of the last needed packet to the whole epoch, and to the answer.
        now : float
            Seconds on any steady clock.
        """
        self.n_decisions += 1
        if self.n_decisions > WARM_UP:
            self._ready.append(1e3 * ready)
            self._decided.append(1e3 * decision)
        if self.is_warm:
            times = self._process.cpu_times()
            self._cpu.append((now, times.user + times.system))

    def result(self) -> dict[str, Any]:
        """Return the figures under the names that scripts rely on."""
        (t0, cpu0), (t1, cpu1) = (self._cpu[0], self._cpu[-1]) if self._cpu else ((0.0, 0.0), (0.0, 0.0))
        return {
            "sample_age_ms": quantiles(self._ages),
            "epoch_ready_ms": quantiles(self._ready),
            "decision_ms": quantiles(self._decided),
            "cpu_percent": round(100 * (cpu1 - cpu0) / (t1 - t0), 1) if t1 > t0 else math.nan,
        }


def machine() -> dict[str, Any]:
    """Return what the figures were taken on."""
    import torch

    return {
        "platform": platform.platform(),
        "processor": _processor(),
        "n_cpus": psutil.cpu_count() or 1,
        "load_average": round(psutil.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def _processor() -> str:
    """Return the processor's name as far as the system tells it."""
    info = Path("/proc/cpuinfo")
    if info.is_file():
        for line in info.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
