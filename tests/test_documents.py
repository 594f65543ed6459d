"""What the documents say is so: the feed's schema, its client, the commands shown, the links between pages."""

from __future__ import annotations

import queue
import re
import subprocess
import sys
import threading
import time
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import typer

from necomimi import feed
from necomimi.cli import app
from necomimi.realtime.outlets import to_json
from necomimi.records import Event, Reason, Refusal, Retrieval, StreamInfo

from .pages import blocks, command_lines, words_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
FOLDERS = ("necomimi", "offline", "realtime", "replay", "gui")
TROUBLE = (ROOT / "docs" / "troubleshooting.md").read_text(encoding="utf-8")
FEED = (ROOT / "docs" / "feed.md").read_text(encoding="utf-8")


def shown_commands() -> list[tuple[str, str]]:
    """Return the `necomimi` command lines in the documents' code blocks, each with its page."""
    return [
        (path.relative_to(ROOT).as_posix(), line)
        for path in PAGES
        for line in command_lines(path.read_text(encoding="utf-8"))
    ]


@pytest.mark.parametrize("record", [*feed.Record.__args__, StreamInfo])
def test_feed_page_lists_the_fields_of_each_record(record: type) -> None:
    section = re.search(rf"^## {record.__name__}$(.*?)(?=^## |\Z)", FEED, re.DOTALL | re.MULTILINE)
    assert section, f"docs/feed.md has no section {record.__name__}"
    assert re.findall(r"^\| `(\w+)` \|", section[1], re.MULTILINE) == [field.name for field in fields(record)]


def test_feed_page_lists_the_keys_of_the_log() -> None:
    event = Event(onset=1.5, label="cat", code=0)
    retrieval = to_json(Retrieval(event=event, labels=("cat",), scores=np.ones(1, dtype=np.float32)))
    refusal = to_json(Refusal(event=event, reason="gap"))
    rows = re.findall(r"^\| `(\w+)` \| (both|retrieval|refusal) \|", FEED, re.MULTILINE)
    assert [key for key, kind in rows if kind != "refusal"] == list(retrieval)
    assert [key for key, kind in rows if kind != "retrieval"] == list(refusal)


def test_feed_client_receives_what_is_published() -> None:
    (client,) = blocks(FEED, "python")
    assert len([line for line in client.splitlines() if line.strip()]) <= 12
    publisher = feed.Publisher("tcp://127.0.0.1:*")
    event = Event(onset=1.5, label="cat", code=0)
    scores = np.array([0.75, 0.25], dtype=np.float32)
    retrieval = Retrieval(event=event, labels=("lion", "cat"), scores=scores)
    assert feed.DEFAULT_ADDRESS in client
    program = client.replace(feed.DEFAULT_ADDRESS, publisher.address)
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    said: queue.Queue[str] = queue.Queue()
    assert process.stdout is not None
    reader = threading.Thread(target=lambda stream: said.put(stream.readline()), args=(process.stdout,))
    reader.start()
    try:
        line = ""
        deadline = time.monotonic() + 60
        while not line and process.poll() is None and time.monotonic() < deadline:
            publisher.send(retrieval)  # until the client has connected, nobody hears it
            try:
                line = said.get(timeout=0.1)
            except queue.Empty:
                continue
        assert line.split() == ["cat", "->", "lion", "0.75"]
    finally:
        process.kill()
        reader.join()
        process.stdout.close()
        process.wait()
        publisher.close()


@pytest.mark.parametrize(("page", "line"), shown_commands())
def test_shown_command_line_is_understood(page: str, line: str) -> None:
    words = words_of(line)
    command: Any = typer.main.get_command(app)
    with command.make_context("necomimi", [], resilient_parsing=True) as context:
        while hasattr(command, "get_command") and words and not words[0].startswith("-"):
            name = words.pop(0)
            command = command.get_command(context, name)
            assert command is not None, f"{page}: necomimi has no command {name!r}"
    if "--help" not in words:
        command.make_context(line, words)  # parses; raises on an unknown option, a missing or an extra argument


def test_troubleshooting_has_every_reason_of_a_refusal() -> None:
    rows = re.findall(r"^\| `([\w -]+)` \| [^|]+ \| [^|]+ \|$", TROUBLE, re.MULTILINE)
    assert sorted(rows) == sorted(get_args(Reason))


def test_words_quoted_in_troubleshooting_are_the_programs_own() -> None:
    paths = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")]
    said = "\n".join(path.read_text(encoding="utf-8") for path in [*paths, ROOT / "Makefile"])
    said = re.sub(r'"\s*\n\s*f?"', "", said)  # one text over several lines
    symptoms = re.findall(r"^\| (?!reason|symptom|---)([^|]+) \|", TROUBLE, re.MULTILINE)
    quoted = [words for symptom in symptoms for words in re.findall(r"`([^`]+)`", symptom)]
    assert len(quoted) > 40
    parts = {part.strip() for words in quoted for part in words.split("…")} - {"", "-"}
    assert [part for part in sorted(parts) if part.removeprefix("necomimi ") not in said] == []


def test_documents_show_each_way_to_start() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert readme.index("make demo") < readme.index("make test") < readme.index("## ")
    assert {"preprocess", "train", "replay", "decode", "view"} <= {line.split()[1] for _, line in shown_commands()}


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [target for target in targets if not (page.parent / target).exists()] == []
