"""The tests' LSL streams stay among themselves, in this process and in those it starts."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SESSION_ID = (
    "import pylsl\n"
    "outlet = pylsl.StreamOutlet(pylsl.StreamInfo('isolation', 'Markers', 1, 0, pylsl.cf_string, 'isolation'))\n"
    "session = outlet.get_info().session_id()\n"
)


@pytest.mark.lsl
def test_streams_carry_a_session_of_this_process() -> None:
    names: dict[str, str] = {}
    exec(SESSION_ID, names)
    assert names["session"] == f"necomimi-{os.getpid()}"


@pytest.mark.lsl
def test_child_processes_share_the_session() -> None:
    command = [sys.executable, "-c", f"{SESSION_ID}print(session)"]
    assert subprocess.check_output(command, text=True).strip() == f"necomimi-{os.getpid()}"
