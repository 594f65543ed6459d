"""Run what a page shows: Markdown -> its command lines, as programs of their own."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"


def blocks(page: str, *languages: str) -> list[str]:
    """Return the code blocks of a page in some languages."""
    return re.findall(rf"^```(?:{'|'.join(languages)})\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)


def command_lines(page: str) -> list[str]:
    """Return the `necomimi` command lines in a page's code blocks, in order."""
    lines = []
    for block in blocks(page, "sh", "bat"):
        for line in block.replace("\\\n", " ").splitlines():
            words = line.strip().replace(".venv\\Scripts\\", "").removeprefix(".venv/bin/")
            if words.startswith("necomimi "):
                lines.append(words)
    return lines


def words_of(line: str) -> list[str]:
    """Return what follows `necomimi` in a command line."""
    return shlex.split(line, comments=True)[1:]


def start(words: list[str], folder: Path, log: Path | None = None) -> subprocess.Popen[str]:
    """Start a program in a folder; what it prints goes to a file, or can be read."""
    command = [sys.executable, "-m", "necomimi", *words]
    environment = os.environ | {"COLUMNS": "160"}
    with nullcontext(subprocess.PIPE) if log is None else log.open("w", encoding="utf-8") as out:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=subprocess.STDOUT, text=True)


def run(words: list[str], folder: Path) -> str:
    """Run a program in a folder to its end, and return what it printed."""
    process = start(words, folder)
    text, _ = process.communicate(timeout=300)
    assert process.returncode == 0, f"necomimi {' '.join(words)}\n{text}"
    return text


def run_live(replay: list[str], decode: list[str], folder: Path, *, view: list[str] | None = None) -> str:
    """Play, watch and decode until the recording has ended; return what the decoder printed."""
    players = [start(replay, folder, folder / "replay.log")]
    if view is not None:
        players.append(start(view, folder, folder / "view.log"))
    try:
        text = run(decode, folder)
        for process in players:
            assert process.wait(60) == 0, "".join(log.read_text() for log in folder.glob("*.log"))
    finally:
        for process in players:
            process.kill()
            process.wait()
    return text
