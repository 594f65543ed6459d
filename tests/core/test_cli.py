"""The root command finds its sub-commands, loads only the one that is called, and turns mistakes into words."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "necomimi", *arguments], capture_output=True, text=True, timeout=120, check=False
    )


def test_help_lists_each_command_with_its_arrow() -> None:
    done = run("--help")
    assert done.returncode == 0
    for name in ("simulate", "preprocess", "embed", "train", "evaluate", "replay", "decode", "view", "demo", "streams"):
        line = next(line for line in done.stdout.splitlines() if line.strip().startswith(f"{name} "))
        assert len(line.split()) > 3, line
    assert "not installed" not in done.stdout
    sections = [line for line in done.stdout.splitlines() if line.endswith(":") and not line.startswith(" ")]
    assert sections == ["Options:", "Start here:", "Train and judge:", "Decode live:", "Windows:", "Play recordings:"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "nonsense"),
        (["decode"], "DECODER"),
        (["decode", "/nowhere"], "/nowhere is not a directory"),
        (["decode", "/nowhere", "--device", "abacus"], "/nowhere"),
        (["preprocess", "/nowhere.fif", "/tmp/necomimi-never"], "/nowhere.fif does not exist"),
        (["preprocess", "x", "y", "--whiten", "maybe"], "maybe"),
        (["preprocess", "x", "y", "--published"], "--published with the recording x"),
        (["view", "--feed", "tcp://127.0.0.1:1", "--gallery", "/nowhere"], "/nowhere"),
        (["replay", "/nowhere.fif"], "/nowhere.fif"),
        (["evaluate", "/nowhere", "/nowhere"], "/nowhere"),
        (["train", "encoder", "/nowhere", "/tmp/necomimi-never"], "/nowhere"),
    ],
)
def test_mistakes_are_told_in_words_with_status_2(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert done.returncode == 2, done.stderr
    assert words in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    told = done.stderr.strip().splitlines()
    assert len([line for line in told if "INFO" not in line]) <= 8


def test_what_the_system_refuses_is_told_in_words_with_status_1(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = run("demo", "--headless", "--out", str(tmp_path / "file" / "out"))
    assert done.returncode == 1, done.stderr
    assert done.stderr.startswith(f"necomimi: {tmp_path / 'file' / 'out'}: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_step_of_the_demo_that_fails_ends_it_with_status_1(tmp_path: Path) -> None:
    (tmp_path / "cache" / "subject").mkdir(parents=True)  # something that is no subject
    done = run("demo", "--headless", "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "cache"))
    assert done.returncode == 1, done.stderr
    assert "ended with status 2" in done.stderr
    assert "Traceback" not in done.stderr
