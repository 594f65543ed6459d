"""The load meter tells a busy thread from an idle one."""

from __future__ import annotations

import threading
import time

from necomimi.realtime.load import LoadMeter


def test_a_busy_thread_and_an_idle_one() -> None:
    meter = LoadMeter()

    def work(name: str, seconds: float) -> None:
        until = time.thread_time() + seconds
        while time.thread_time() < until:
            pass
        meter.report(name)

    threads = [threading.Thread(target=work, args=pair) for pair in (("busy", 0.2), ("idle", 0.0))]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shares = meter.percent()
    elapsed = time.monotonic() - began
    assert 0.5 * 20 / elapsed < shares["busy"] < 1.5 * 20 / elapsed  # 0.2 s of CPU
    assert shares["idle"] < 0.2 * shares["busy"]
    assert meter.percent() == {"busy": 0.0, "idle": 0.0}  # nothing since
