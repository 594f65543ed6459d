"""A log is whole line by line, however a disk or a crash cuts it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from necomimi.realtime.decision_log import DecisionLog


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@pytest.mark.skipif(sys.platform == "win32", reason="bounds the size of files as POSIX does")
@pytest.mark.parametrize("n_bytes", [0, 1, 16, 25])  # into the line, at its end, into the next one
def test_a_torn_line_is_finished_when_there_is_room_again(tmp_path: Path, n_bytes: int) -> None:
    import resource

    path = tmp_path / "log.jsonl"
    log = DecisionLog(path)
    log.write({"n": "猫"})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + n_bytes, before[1]))
    try:
        for n in (100, 101, 102):
            log.write({"n": n, "a": 1})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert log.warning == f"the log {path} is not written: File too large"
    log.write({"n": 103})
    log.close()
    assert log.warning == ""
    lines = read(path)
    n_lost = sum(line.get("n_lines", 0) for line in lines)
    assert [line["n"] for line in lines if "n" in line] == ["猫", *range(100, 103 - n_lost), 103]
    assert n_lost == (3 if not n_bytes else 2 if n_bytes <= 16 else 1)


def test_a_line_that_a_crash_has_cut_swallows_none_of_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "log.jsonl"
    path.write_text('{"type":"run"}\n{"type":"retr')
    log = DecisionLog(path)
    log.write({"type": "run"})
    log.close()
    assert path.read_text().splitlines() == ['{"type":"run"}', '{"type":"retr', '{"type":"run"}']
