"""One file over HTTP: broken connections, stubborn hosts, wrong bytes."""

from __future__ import annotations

import hashlib
import random
import socket
import threading
from pathlib import Path
from typing import Any

import pytest

from necomimi.offline.fetching import FetchError, Patience, Remote, fetch, part_path, read

QUICK = Patience(timeout=5.0, attempts=4, pause=0.001)
DATA = random.Random(1).randbytes(700_001)
MD5 = f"md5:{hashlib.md5(DATA).hexdigest()}"
SHA = f"sha256:{hashlib.sha256(DATA).hexdigest()}"


def get(web: Any, path: Path, checksum: str = SHA, size: int | None = len(DATA), **keys: Any) -> None:
    fetch(Remote(url=f"{web.url}/file", size=size, checksum=checksum), path, **{"patience": QUICK, **keys})


@pytest.fixture
def target(web: Any, tmp_path: Path) -> Path:
    web.files["/file"] = DATA
    return tmp_path / "file.npy"


def is_clean(target: Path) -> bool:
    """Return whether nothing but the whole file lies in the folder."""
    return [path.name for path in target.parent.iterdir()] == [target.name] and target.read_bytes() == DATA


@pytest.mark.parametrize("checksum", [SHA, MD5, SHA.upper().replace("SHA256", "sha256"), ""])
@pytest.mark.parametrize("size", [len(DATA), None])
def test_file_arrives_whole(web: Any, target: Path, checksum: str, size: int | None) -> None:
    seen: list[int] = []
    get(web, target, checksum, size, moved=seen.append)
    assert is_clean(target)
    assert seen[0] == 0
    assert seen[-1] == len(DATA)


def test_file_of_no_bytes(web: Any, tmp_path: Path) -> None:
    web.files["/file"] = b""
    get(web, tmp_path / "empty", "", 0)
    assert (tmp_path / "empty").read_bytes() == b""


@pytest.mark.parametrize("size", [len(DATA), None])
def test_dropped_connection_goes_on_where_it_broke(web: Any, target: Path, size: int | None) -> None:
    web.faults["/file"] = ["drop:100000", "drop:1", "drop:250000"]
    get(web, target, size=size)
    assert is_clean(target)
    assert web.ranges("/file") == ["", "bytes=100000-", "bytes=100001-", "bytes=350001-"]


def test_next_run_goes_on_where_the_last_one_gave_up(web: Any, target: Path) -> None:
    web.faults["/file"] = ["drop:300000", 503, 503, 503, 503]
    with pytest.raises(FetchError, match="503") as caught:
        get(web, target)
    assert "run the same command again" in caught.value.remedy
    assert not target.exists()
    assert part_path(target).read_bytes() == DATA[:300000]
    get(web, target)
    assert is_clean(target)
    assert web.ranges("/file")[-1] == "bytes=300000-"


def test_host_without_ranges_begins_anew(web: Any, target: Path) -> None:
    web.faults["/file"] = ["drop:300000", "norange"]
    get(web, target)
    assert is_clean(target)
    assert web.ranges("/file") == ["", "bytes=300000-"]


def test_file_that_changed_meanwhile_begins_anew(web: Any, target: Path) -> None:
    old = bytes(len(DATA))
    web.files["/file"], web.tags["/file"] = old, '"old"'
    web.faults["/file"] = ["drop:300000", 503, 503, 503, 503]
    with pytest.raises(FetchError):
        get(web, target, "")
    web.files["/file"], web.tags["/file"] = DATA, '"new"'
    get(web, target, "")
    assert is_clean(target)


def test_part_that_is_whole_is_only_checked(web: Any, target: Path) -> None:
    part_path(target).write_bytes(DATA)
    get(web, target)
    assert is_clean(target)
    assert web.asked == []
    target.rename(part_path(target))
    get(web, target, size=None)  # the host says so, as the length was unknown
    assert is_clean(target)


@pytest.mark.parametrize("size", [len(DATA), None])
def test_part_longer_than_the_file_is_dropped(web: Any, target: Path, size: int | None) -> None:
    part_path(target).write_bytes(DATA + b"more")
    get(web, target, size=size)
    assert is_clean(target)


def test_passing_faults_are_waited_out(web: Any, target: Path) -> None:
    web.faults["/file"] = [503, 429, 500]
    web.headers["Retry-After"] = "0"
    get(web, target)
    assert is_clean(target)


def test_host_is_given_the_time_it_asks_for(web: Any, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web.faults["/file"] = [503]
    web.headers["Retry-After"] = "7"
    stop, waits = threading.Event(), []
    monkeypatch.setattr(stop, "wait", waits.append)
    get(web, target, stop=stop)
    assert waits == [7.0]


def test_pauses_double(web: Any, target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web.faults["/file"] = [500] * 9
    stop, waits = threading.Event(), []
    monkeypatch.setattr(stop, "wait", waits.append)
    with pytest.raises(FetchError):
        get(web, target, stop=stop, patience=Patience(attempts=9))
    assert waits == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0]


def test_silent_host_is_left(web: Any, target: Path) -> None:
    web.faults["/file"] = ["silent"]
    get(web, target, patience=Patience(timeout=0.3, attempts=2, pause=0.001))
    assert is_clean(target)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_lasting_refusal_is_not_repeated(web: Any, target: Path, status: int) -> None:
    web.faults["/file"] = [status] * 3
    with pytest.raises(FetchError, match=f"/file: HTTP {status}"):
        get(web, target)
    assert len(web.asked) == 1


def test_nobody_listening_is_said_in_words(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/file"
        with pytest.raises(FetchError, match=r"refused \(tries: 4\)"):
            fetch(Remote(url=url), tmp_path / "file", patience=QUICK)


@pytest.mark.parametrize("algorithm", ["md5", "sha256"])
def test_wrong_checksum_is_deleted_and_named(web: Any, target: Path, algorithm: str) -> None:
    wrong = "0" * (32 if algorithm == "md5" else 64)
    right = (MD5 if algorithm == "md5" else SHA).partition(":")[2]
    with pytest.raises(FetchError) as caught:
        get(web, target, f"{algorithm}:{wrong}")
    assert caught.value.found == f"file.npy from {web.url}/file has {algorithm} {right} and was deleted"
    assert caught.value.expected == f"{algorithm} {wrong}"
    assert list(target.parent.iterdir()) == []
    assert len(web.asked) == 1


def test_spoilt_part_of_an_earlier_run_is_fetched_anew(web: Any, target: Path) -> None:
    part_path(target).write_bytes(bytes(300000))
    get(web, target)
    assert is_clean(target)
    assert web.ranges("/file") == ["bytes=300000-", ""]


def test_other_size_is_refused_before_the_part_is_touched(web: Any, target: Path) -> None:
    part_path(target).write_bytes(DATA[:1000])
    web.files["/login"] = b"<html>please log in</html>"
    web.faults["/file"] = [f"to:{web.url}/login"]
    web.faults["/login"] = ["norange"]
    with pytest.raises(FetchError) as caught:
        get(web, target)
    assert caught.value.found.endswith("has 26 bytes")
    assert caught.value.expected == f"{len(DATA)} bytes"
    assert part_path(target).read_bytes() == DATA[:1000]
    get(web, target)
    assert is_clean(target)


def test_stop_ends_between_two_blocks_and_keeps_the_part(web: Any, target: Path) -> None:
    stop = threading.Event()
    with pytest.raises(FetchError, match="stopped"):
        get(web, target, stop=stop, moved=lambda position: position and stop.set())
    have = part_path(target).read_bytes()
    assert 0 < len(have) < len(DATA)
    assert DATA.startswith(have)
    assert not target.exists()


def test_folder_that_is_absent_is_said_in_words(web: Any, target: Path) -> None:
    with pytest.raises(FetchError, match="No such file"):
        get(web, target.parent / "absent" / "file")


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/a",
        "file:///etc/passwd",
        "ftp://127.0.0.1/a",
        "http://localhost/a",
        "a",
        "",
        "https://[",
        "//x",
    ],
)
def test_address_that_is_not_https_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError, match="is refused"):
        fetch(Remote(url=url), tmp_path / "file", patience=QUICK)


def test_address_with_a_blank_is_said_in_words(web: Any, tmp_path: Path) -> None:
    with pytest.raises(FetchError, match="a b"):
        fetch(Remote(url=f"{web.url}/a b"), tmp_path / "file", patience=QUICK)


def test_redirection_is_followed_with_its_range_but_not_elsewhere(web: Any, target: Path) -> None:
    part_path(target).write_bytes(DATA[:5])
    web.files["/moved"] = DATA
    web.faults["/file"] = [f"to:{web.url}/moved"]
    get(web, target)
    assert is_clean(target)
    assert web.ranges("/moved") == ["bytes=5-"]
    web.faults["/file"] = ["to:http://example.org/moved"]
    with pytest.raises(FetchError, match=r"example\.org/moved' is refused"):
        get(web, target.with_name("other"))


def test_short_document_is_read_whole_or_not_at_all(web: Any) -> None:
    web.files["/list"] = b"0123456789"
    web.faults["/list"] = ["drop:4", 502]
    assert read(f"{web.url}/list", patience=QUICK) == b"0123456789"
    with pytest.raises(FetchError, match="longer than 9 bytes"):
        read(f"{web.url}/list", limit=9, patience=QUICK)


def test_what_the_disk_refuses_is_not_asked_for_again(web: Any, target: Path) -> None:
    with pytest.raises(FetchError, match="cannot be written") as caught:
        get(web, target.parent / "missing" / target.name)
    assert "later" not in caught.value.remedy
    assert len(web.asked) == 1
