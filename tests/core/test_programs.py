"""Programs start, tell what went wrong, end when asked, and never outlive their owner."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from necomimi.programs import ProgramError, Programs, run_step, told_to_end


def wait_until_said(programs: Programs, name: str, words: str) -> None:
    deadline = time.monotonic() + 60
    while words not in programs.said(name):
        assert time.monotonic() < deadline, programs.said(name)
        time.sleep(0.01)


def serve(programs: Programs) -> subprocess.Popen[bytes]:
    """Start a program that runs until it is asked to end."""
    process = programs.start("amplifier", "replay", "synthetic:2x100x1", "--wait", 60, PYTHONUNBUFFERED="1")
    wait_until_said(programs, "amplifier", "are in reach")
    return process


def test_a_program_ends_when_asked(tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        process = serve(programs)
        programs.check()
        programs.finish("amplifier")
        assert process.returncode == 0


def test_a_failure_is_told_with_its_last_words(tmp_path: Path) -> None:
    with Programs(tmp_path, {"PYTHONUTF8": "1"}) as programs:
        programs.start("wrong", "--bogus", module="json.tool").wait(60)
        with pytest.raises(ProgramError, match=r"wrong ended with status 2: .*--bogus") as failed:
            programs.check()
        assert str(tmp_path / "wrong.log") in str(failed.value)
        with pytest.raises(ProgramError, match="status 2"):
            programs.finish("wrong")


def test_none_outlives_the_with_block(tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        process = serve(programs)
    assert process.poll() is not None


def test_a_step_is_taken_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    made = tmp_path / "keys.json"
    for _ in range(2):
        run_step("1/1 asking", made, "--version", answer=True)
    said = capfd.readouterr().err
    assert said.count("1/1 asking") == 2
    assert said.count("kept from an earlier run") == 1
    assert made.read_text().startswith("necomimi ")
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


@pytest.mark.skipif(os.name == "nt", reason="nothing is ended by a signal there")
@pytest.mark.parametrize(
    ("name", "words"), [("SIGKILL", r"signal 9 \(Killed\)[\s\S]*memory"), ("SIGTERM", "signal 15")]
)
def test_a_step_that_the_system_ended_is_no_interruption(tmp_path: Path, name: str, words: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(f"import os, signal\nos.kill(os.getpid(), signal.{name})\n")
    with pytest.raises(ProgramError, match=rf"`necomimi train x` was ended by {words}"):
        run_step("training", tmp_path / "decoder", "train", "x", environment={"PYTHONPATH": str(tmp_path)})


def test_an_interrupted_step_interrupts(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os\nos._exit(130)\n")
    with pytest.raises(KeyboardInterrupt):
        run_step("training", tmp_path / "decoder", "train", "x", environment={"PYTHONPATH": str(tmp_path)})


def test_a_step_that_fails_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"`necomimi calibrate` ended with status 2"):  # it has no pictures
        run_step("asking", tmp_path / "answer", "calibrate", answer=True)
    assert not (tmp_path / "answer").exists()
    run_step("asking", tmp_path / "answer", "calibrate", answer=True, statuses=(0, 2))
    assert (tmp_path / "answer").read_text() == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_both_signals_are_heard_inside_and_left_alone_outside(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with told_to_end() as told:
        assert not told.is_set()
        signal.raise_signal(number)
        assert told.is_set()
    assert signal.getsignal(number) is before
