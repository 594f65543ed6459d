"""Decisions leave by the feed, by LSL and in a log that says what ran and survives a full disk."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pylsl
import pytest

from necomimi.curve import make_client_keys, make_server_keys
from necomimi.errors import ConfigError, FeedError
from necomimi.feed import Subscriber
from necomimi.lsl import Finder, MarkerInlet, find_stream, local_clock
from necomimi.realtime.outlets import Outlets, to_json
from necomimi.records import Embedding, Event, GeneratedImage, Refusal, Retrieval

pytestmark = pytest.mark.lsl

ANYWHERE = "tcp://127.0.0.1:*"
EVENT = Event(onset=12.25, label="猫", code=3)
DEADLINE_S = 20.0


def answer(**changes: Any) -> Retrieval:
    fields: dict[str, Any] = {
        "event": EVENT, "labels": ("cat", "dog"), "scores": np.array([0.75, 0.125]), "latency_ms": {"total": 3.45678},
    }  # fmt: skip
    return Retrieval(**{**fields, **changes})


def read(log: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def until(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + DEADLINE_S
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {DEADLINE_S:g} s: {what}"
    return value


def test_verdicts_as_json() -> None:
    assert to_json(answer()) == {
        "type": "retrieval", "code": 3, "onset": 12.25, "label": "猫", "labels": ["cat", "dog"],
        "scores": [0.75, 0.125], "n_averaged": 1, "latency_ms": {"total": 3.457},
    }  # fmt: skip
    early = to_json(answer(until=0.3, sure=True, n_averaged=4, warnings=("Fp1 is interpolated",)))
    assert early["type"] == "provisional"
    assert (early["until"], early["sure"], early["n_averaged"]) == (0.3, True, 4)
    assert early["warnings"] == ["Fp1 is interpolated"]
    refusal = Refusal(event=EVENT, reason="reference lost", detail="all alike")
    assert to_json(refusal) == {
        "type": "refusal", "code": 3, "onset": 12.25, "label": "猫", "reason": "reference lost", "detail": "all alike",
    }  # fmt: skip


def test_a_picture_as_json_has_no_pixels() -> None:
    picture = GeneratedImage(
        event=EVENT, pixels=np.zeros((8, 8, 3), np.uint8), seed=5, stage="two-stage", generator="sd15", preview=True,
        n_averaged=3, latency_ms={"paint": 12.34567},
    )  # fmt: skip
    assert to_json(picture) == {
        "type": "picture", "code": 3, "onset": 12.25, "label": "猫", "stage": "two-stage", "generator": "sd15",
        "preview": True, "seed": 5, "size": 8, "n_averaged": 3, "latency_ms": {"paint": 12.346},
    }  # fmt: skip


def test_the_log_begins_with_the_run_and_ends_with_the_summary(tmp_path: Path) -> None:
    log = tmp_path / "folder" / "log.jsonl"
    for run in range(2):  # an existing log is continued
        before = datetime.now(UTC)
        outlets = Outlets(ANYWHERE, log, "amp", log_embeddings=True, run={"decoder": "decoders/demo", "average": 4})
        outlets.decide(answer(), Embedding(event=EVENT, vector=np.array([0.6, -0.8]), space="s"))
        outlets.decide(Refusal(event=EVENT, reason="gap"))
        outlets.close({"n_events": 2})
        first, retrieval, refusal, last = read(log)[4 * run :]
        assert first["type"] == "run"
        assert (first["decoder"], first["average"], first["source_id"]) == ("decoders/demo", 4, "amp")
        assert first["feed"] == outlets.address
        assert 0 <= (datetime.fromisoformat(first["started"]) - before).total_seconds() + 0.001 < DEADLINE_S
        assert abs(first["clock"] - local_clock()) < DEADLINE_S
        assert retrieval["embedding"] == [0.6, -0.8]
        assert refusal["reason"] == "gap"
        assert last == {"type": "summary", "n_events": 2}
    text = log.read_text(encoding="utf-8")
    assert ": " not in text
    assert "猫" in text


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_costs_the_log_and_no_decision(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    log = tmp_path / "log.jsonl"
    outlets = Outlets(ANYWHERE, log, "full")
    subscriber = Subscriber(outlets.address, (Retrieval,))
    until(lambda: outlets.decide(answer()) or subscriber.receive(0.05), "the feed")
    n_lines = len(read(log))
    assert outlets.warning == ""
    disk = outlets._log._file.fileno()  # type: ignore[union-attr]
    full, room = os.open("/dev/full", os.O_WRONLY), os.dup(disk)
    os.dup2(full, disk)
    for code in range(100, 105):
        outlets.decide(answer(event=Event(onset=0.0, label="x", code=code)))
    codes: list[int] = []

    def complete() -> bool:
        record = subscriber.receive(0.05)
        codes.extend([record.event.code] if record is not None and record.event.code >= 100 else [])
        return len(codes) == 5

    until(complete, "all decisions on the feed")
    assert codes == [100, 101, 102, 103, 104]
    assert outlets.warning == f"the log {log} is not written: No space left on device"
    told = [record.getMessage() for record in caplog.records if "is not written" in record.getMessage()]
    assert told == [f"{outlets.warning}; decisions go on without it"]
    assert len(read(log)) == n_lines
    os.dup2(room, disk)
    outlets.decide(answer(event=Event(onset=0.0, label="x", code=105)))
    assert outlets.warning == ""
    outlets.close({"n_events": 6})
    lost, decision, summary = read(log)[n_lines:]
    assert lost == {"type": "lost", "n_lines": 5}
    assert (decision["code"], summary["type"]) == (105, "summary")
    for descriptor in (full, room):
        os.close(descriptor)
    subscriber.close()
    with pytest.raises(ConfigError, match="No space left on device"):
        Outlets(ANYWHERE, Path("/dev/full"), "full")


def test_a_log_that_cannot_be_begun_is_a_mistake(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written"):
        Outlets(ANYWHERE, tmp_path, "amp")
    log = tmp_path / "log.jsonl"
    with pytest.raises(FeedError, match=r"127\.0\.0\.1"):
        Outlets("tcp://0.0.0.0:5999", log, "amp")
    assert not log.exists()


def test_decisions_on_lsl() -> None:
    outlets = Outlets(ANYWHERE, None, "lsl-out")
    (stream,) = outlets.streams
    assert (stream.name, stream.type, stream.source_id) == (
        "necomimi-decisions", "Markers", "necomimi-decisions-lsl-out",
    )  # fmt: skip
    with MarkerInlet(find_stream(Finder(source_id=stream.source_id))) as inlet:
        assert inlet.info.uid == stream.uid
        outlets.decide(answer(until=0.2))
        outlets.decide(answer(sure=True))
        got: list[tuple[str, float]] = []
        until(lambda: got.extend(inlet.pull(0.2)) or len(got) == 2, "two decisions")
    assert [json.loads(text)["type"] for text, _ in got] == ["provisional", "retrieval"]
    assert json.loads(got[1][0]) == to_json(answer(sure=True))
    outlets.close({})


@pytest.mark.parametrize("n_classes", [3, 1654])
def test_similarities_on_lsl_as_a_recorder_finds_them(n_classes: int) -> None:
    """By pylsl alone: a recorder resolves everything in reach and reads the header, as LabRecorder does."""
    classes = tuple(f"{i:04d} 猫" for i in range(n_classes))
    outlets = Outlets(ANYWHERE, None, f"sim-{n_classes}", classes=classes)
    wanted = f"necomimi-similarities-sim-{n_classes}"
    handle = until(lambda: [s for s in pylsl.resolve_streams(0.5) if s.source_id() == wanted], wanted)[0]
    assert handle.name() == "necomimi-similarities"
    assert handle.type() == "Similarities"
    assert handle.channel_count() == n_classes
    assert handle.nominal_srate() == pylsl.IRREGULAR_RATE
    assert handle.channel_format() == pylsl.cf_float32
    similarities = np.random.default_rng(0).uniform(-1, 1, size=(4, n_classes)).astype(np.float32)
    inlet = pylsl.StreamInlet(handle, max_buflen=10, recover=False)
    inlet.open_stream(10.0)
    header = inlet.info(10.0)
    assert header.get_channel_labels() == list(classes)
    assert set(header.get_channel_types()) == {"Similarity"}
    assert set(header.get_channel_units()) == {"cosine"}
    assert "cosine similarity" in header.desc().child_value("meaning")
    with MarkerInlet(find_stream(Finder(source_id=f"necomimi-decisions-sim-{n_classes}"))) as decisions:
        for row in similarities:
            outlets.decide(answer(), similarities=row)
        outlets.decide(Refusal(event=EVENT, reason="gap"))  # no numbers, no sample
        outlets.decide(answer())
        samples, stamps = [], []

        def complete() -> bool:
            data, times = inlet.pull_chunk(0.2, 16, min_samples=1)
            samples.extend(data)
            stamps.extend(times)
            return len(samples) >= 4

        until(complete, "four samples")
        np.testing.assert_array_equal(np.array(samples, dtype=np.float32), similarities)
        told: list[tuple[str, float]] = []
        until(lambda: told.extend(decisions.pull(0.2)) or len(told) == 6, "six decisions")
        assert inlet.pull_chunk(0.0, 16)[1] == []
        np.testing.assert_allclose(stamps, [stamp for _, stamp in told[:4]], atol=1e-3)  # joined by their stamp
    inlet.close_stream()
    assert [stream.source_id for stream in outlets.streams] == [f"necomimi-decisions-sim-{n_classes}", wanted]
    with pytest.raises(ValueError, match="similarities of shape"):
        outlets.decide(answer(), similarities=similarities[0, 1:])
    outlets.close({})


def test_a_guarded_feed(tmp_path: Path) -> None:
    make_server_keys(tmp_path)
    make_client_keys(tmp_path, "viewer")
    outlets = Outlets("tcp://0.0.0.0:*", None, "guarded", keys=tmp_path)
    address = outlets.address.replace("0.0.0.0", "127.0.0.1")
    stranger, friend = Subscriber(address, (Retrieval,)), Subscriber(address, (Retrieval,), keys=tmp_path)
    heard = until(lambda: outlets.decide(answer()) or friend.receive(0.05), "the friend hears")
    assert heard.labels == ("cat", "dog")
    assert until(lambda: stranger.receive(0.05) or stranger.problem, "the stranger is told").endswith("--keys DIR")
    for subscriber in (stranger, friend):
        subscriber.close()
    outlets.close({})
