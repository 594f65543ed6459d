"""Run amplifier and decoder for minutes to days: settings -> memory growth, lag, every sample accounted for."""

from __future__ import annotations

import json
import math
import time
from collections import deque
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from necomimi.console import progress
from necomimi.feed import Subscriber
from necomimi.lsl import local_clock
from necomimi.programs import Programs, free_port
from necomimi.records import Refusal, Retrieval, Status

from .bench_live import ANSWER_S, START_S, amplifier_count, session, workplace
from .bench_setup import Settings, machine, random_decoder
from .latency import quantiles

__all__ = ["Soak", "memory_slope", "soak"]

MEMORY_EVERY_S = 5.0
SETTLE_MEMORY_S = 60.0  # buffers fill: the ring, the latency history, the allocator's pools
MAX_SLOPE_MB_PER_HOUR = 10.0
MAX_GROWTH_MB = 8.0  # a slope over a short time means nothing below this
MAX_LAG_S = 1.0
MINUTE_S = 60.0


@dataclass(kw_only=True)
class Soak:
    """What a long run showed.

    Parameters
    ----------
    settings : Settings
    n_samples_sent, n_events_sent : int
        What the amplifier says it sent.
    n_samples, n_missing, n_events, n_retrievals, n_refusals : int
        What the decoder says it received, missed and answered.
    refusals : dict of str to int
        Count per reason.
    lag_s_max : float
        Largest age in seconds of the newest sample, while the amplifier ran.
    memory : list of (float, float)
        Seconds since the decoder was live, and resident MB.
    first_minute, last_minute : dict of str to float
        Percentiles in milliseconds of the decisions, from when their last packet was due.
    cpu_percent : float
        Of a core, of the whole decoder process.
    """

    settings: Settings
    n_samples_sent: int = 0
    n_events_sent: int = 0
    n_samples: int = 0
    n_missing: int = 0
    n_events: int = 0
    n_retrievals: int = 0
    n_refusals: int = 0
    refusals: dict[str, int] = field(default_factory=dict)
    lag_s_max: float = 0.0
    memory: list[tuple[float, float]] = field(default_factory=list)
    first_minute: dict[str, float] = field(default_factory=dict)
    last_minute: dict[str, float] = field(default_factory=dict)
    cpu_percent: float = math.nan

    @property
    def settled_memory(self) -> list[tuple[float, float]]:
        """The memory after the first minute, or the last two thirds of a shorter run."""
        if not self.memory:
            return []
        start = min(SETTLE_MEMORY_S, self.memory[-1][0] / 3)
        return [(t, mb) for t, mb in self.memory if t >= start]

    @property
    def problems(self) -> list[str]:
        """What went wrong, in words."""
        found = []
        if self.n_samples != self.n_samples_sent:
            found.append(f"{self.n_samples_sent - self.n_samples} of {self.n_samples_sent} samples lost")
        if self.n_missing:
            found.append(f"{self.n_missing} samples counted as missing")
        if self.n_events != self.n_events_sent:
            found.append(f"{self.n_events_sent - self.n_events} of {self.n_events_sent} events lost")
        if self.n_events != self.n_retrievals + self.n_refusals:
            found.append(f"{self.n_events - self.n_retrievals - self.n_refusals} events without a verdict")
        if self.n_refusals:
            found.append(f"{self.n_refusals} events refused")
        if self.lag_s_max > MAX_LAG_S:
            found.append(f"the newest sample was {self.lag_s_max:.1f} s old")
        slope, settled = memory_slope(self.settled_memory), self.settled_memory
        growth = slope * (settled[-1][0] - settled[0][0]) / 3600 if settled else 0.0
        if slope > MAX_SLOPE_MB_PER_HOUR and growth > MAX_GROWTH_MB:
            found.append(f"memory grows by {slope:.0f} MB an hour")
        return found

    def to_json(self) -> dict[str, Any]:
        """Return everything under the names that scripts rely on."""
        settled = self.settled_memory or [(0.0, math.nan)]
        return {
            "ok": not self.problems,
            "problems": self.problems,
            "minutes": self.settings.seconds / 60,
            "n_samples_sent": self.n_samples_sent,
            "n_samples": self.n_samples,
            "n_lost_samples": self.n_samples_sent - self.n_samples,
            "n_missing": self.n_missing,
            "n_events_sent": self.n_events_sent,
            "n_events": self.n_events,
            "n_retrievals": self.n_retrievals,
            "n_refusals": self.n_refusals,
            "refusals": self.refusals,
            "lag_s_max": round(self.lag_s_max, 4),
            "memory": {
                "first_mb": round(settled[0][1], 1),
                "last_mb": round(settled[-1][1], 1),
                "growth_mb": round(settled[-1][1] - settled[0][1], 2),
                "slope_mb_per_hour": round(memory_slope(settled), 2),
            },
            "decision_ms": {"first_minute": self.first_minute, "last_minute": self.last_minute},
            "cpu_percent": self.cpu_percent,
            "settings": self.settings.to_json(),
            "machine": machine(),
        }


def memory_slope(memory: list[tuple[float, float]]) -> float:
    """Return the growth in MB an hour by the Theil-Sen estimator: the median slope over pairs, deaf to single jumps.

    Parameters
    ----------
    memory : list of (float, float)
        Seconds and MB; of a long list, 500 evenly spaced entries are taken.

    Returns
    -------
    float
        0 for fewer than two entries.

    References
    ----------
    Sen (1968), Estimates of the regression coefficient based on Kendall's tau.
    """
    if len(memory) < 2:
        return 0.0
    points = np.array(memory)[np.unique(np.linspace(0, len(memory) - 1, 500).astype(int))]
    i, j = np.triu_indices(len(points), 1)
    slopes = (points[j, 1] - points[i, 1]) / (points[j, 0] - points[i, 0])
    return float(np.median(slopes)) * 3600


def soak(settings: Settings) -> Soak:
    """Run amplifier and decoder for the settings' length, with a progress bar.

    Raises
    ------
    ProgramError
        One of the two failed.
    """
    result = Soak(settings=settings)
    with workplace() as folder:
        random_decoder(settings, folder / "decoder")
        with session(folder, "soak") as programs:
            log = _watch(settings, folder, programs, result)
            result.n_samples_sent, result.n_events_sent, _ = amplifier_count(programs)
        summary = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
    for key in ("n_samples", "n_missing", "n_events", "n_retrievals", "n_refusals", "refusals"):
        setattr(result, key, summary[key])
    return result


def _watch(settings: Settings, folder: Path, programs: Programs, result: Soak) -> Path:
    """Follow the run to its end; return the decision log."""
    feed, log = f"tcp://127.0.0.1:{free_port()}", folder / "decisions.jsonl"
    first: list[float] = []
    last: deque[tuple[float, float]] = deque()  # (when, milliseconds) of the last minute's decisions
    amplifier = programs.start("amplifier", "replay", settings.amplifier, "--chunk", settings.chunk, "--wait", START_S)
    subscriber = Subscriber(feed, (Retrieval, Refusal, Status))
    live = programs.start("necomimi", "decode", folder / "decoder", "--timeout", START_S, "--feed", feed, "--log", log)
    process = psutil.Process(live.pid)
    started, started_cpu, next_memory, n_answers, ended = 0.0, 0.0, 0.0, 0, math.inf
    with progress() as bar:
        task = bar.add_task("soak", total=settings.amplifier.seconds)
        while time.monotonic() < ended + ANSWER_S and n_answers < settings.amplifier.n_events:
            programs.check()
            record = subscriber.receive(0.2)
            now = local_clock()
            if isinstance(record, Status) and record.n_samples:
                if not started:
                    started, started_cpu = now, _cpu_seconds(process)
                if ended == math.inf:
                    result.lag_s_max = max(result.lag_s_max, record.lag_s)
                    words = f"lag {1e3 * record.lag_s:.0f} ms, {n_answers} of {record.n_events} events answered"
                    bar.update(task, completed=min(now - started, settings.amplifier.seconds), description=words)
            elif isinstance(record, Retrieval) and record.until is None:
                n_answers += 1
                took = 1e3 * (now - record.event.onset - settings.due_s)
                if now - started < MINUTE_S:
                    first.append(took)
                last.append((now, took))
                while now - last[0][0] > MINUTE_S:
                    last.popleft()
            elif isinstance(record, Refusal):
                n_answers += 1
            if started and now >= next_memory and ended == math.inf:
                next_memory = now + MEMORY_EVERY_S
                result.memory.append((now - started, process.memory_info().rss / 2**20))
            if amplifier.poll() is not None and ended == math.inf:
                ended = time.monotonic()
    result.cpu_percent = round(100 * (_cpu_seconds(process) - started_cpu) / (local_clock() - started), 1)
    subscriber.close()
    amplifier.wait()
    programs.finish("necomimi")
    result.first_minute, result.last_minute = quantiles(first), quantiles([took for _, took in last])
    return log


def _cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU time of a process so far."""
    times = process.cpu_times()
    seconds: float = times.user + times.system
    return seconds
