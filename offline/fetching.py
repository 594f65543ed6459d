"""Fetch one file over HTTP, going on where an earlier try stopped: URL, size, checksum -> file, whole or not at all."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage, HTTPResponse
from pathlib import Path
from threading import Event
from typing import IO, TypeVar
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from necomimi import __version__
from necomimi.errors import NecomimiError

__all__ = ["PATIENCE", "FetchError", "Patience", "Remote", "fetch", "part_path", "read"]

logger = logging.getLogger(__name__)

T = TypeVar("T")
BLOCK = 2**18  # bytes written at once
TEMPORARY = {408, 425, 429, 500, 502, 503, 504}  # HTTP: the same request may succeed later
LONGEST_PAUSE = 60.0  # s


class FetchError(NecomimiError):
    """A file could not be had."""


class _IncompleteError(ConnectionError):
    """An answer ended before its announced length."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """Where a file lies and what is known of it.

    Parameters
    ----------
    url : str
        https, or http on 127.0.0.1.
    size : int, optional
        Bytes.
    checksum : str
        "sha256:HEX", "md5:HEX", or empty where the host gives none; HEX may be the first digits only.
    """

    url: str
    size: int | None = None
    checksum: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for a host.

    Parameters
    ----------
    timeout : float
        Seconds without a byte after which a connection counts as lost.
    attempts : int
        Tries in a row without any new byte before giving up.
    pause : float
        Seconds before the second try; it doubles with each further one, up to a minute.
    """

    timeout: float = 30.0
    attempts: int = 6
    pause: float = 1.0


PATIENCE = Patience()


class _Redirects(HTTPRedirectHandler):
    """Follows redirections, but never out of https."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """Return the request for the new address, if it may be asked."""
        _check_url(newurl)
        if req.type == "https" and urlsplit(newurl).scheme != "https":
            raise FetchError(f"{req.full_url} leads to {newurl}", "an https address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


_OPENER = build_opener(_Redirects)


def _check_url(url: str) -> None:
    """Refuse what is not https, unless it is on this machine."""
    try:
        parts = urlsplit(url)
        allowed = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname == "127.0.0.1")
    except ValueError:
        allowed = False
    if not allowed:
        raise FetchError(f"the address {url!r} is refused", "https://... (http only on 127.0.0.1)")


def _open(url: str, patience: Patience, headers: dict[str, str] | None = None) -> HTTPResponse:
    """Ask for a URL and return the answer, its body unread."""
    _check_url(url)
    basic = {"User-Agent": f"necomimi/{__version__}", "Accept-Encoding": "identity"}
    try:
        request = Request(url, headers=basic | (headers or {}))
        response: HTTPResponse = _OPENER.open(request, timeout=patience.timeout)
    except ValueError as error:  # http.client.InvalidURL is one too
        raise FetchError(f"{url}: {error}", "a web address") from error
    return response


def _judge(url: str, error: Exception) -> tuple[str, float]:
    """Return why a try failed, in words, and the seconds that the host asks to wait; raise if trying again is vain."""
    if isinstance(error, HTTPError):
        error.close()
        reason = f"HTTP {error.code} {error.reason}"
        if error.code not in TEMPORARY:
            raise FetchError(f"{url}: {reason}", remedy="another mirror, with --mirrors FILE") from error
        wait = error.headers.get("Retry-After", "")
        return reason, min(float(wait), LONGEST_PAUSE) if wait.isdecimal() else 0.0
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        raise FetchError(f"{url}: {cause}", "a host with a valid certificate") from error
    return str(cause) or type(cause).__name__, 0.0


def _persist(url: str, once: Callable[[], T], reached: Callable[[], int], patience: Patience, stop: Event) -> T:
    """Call `once` until it succeeds; give up after too many tries in a row that got no further than those before."""
    failures, furthest = 0, reached()
    while True:
        if stop.is_set():
            raise FetchError(f"{url}: stopped", remedy="run the same command again: it goes on from here")
        try:
            return once()
        except (OSError, HTTPException) as error:
            reason, wait = _judge(url, error)
        failures = failures + 1 if reached() <= furthest else 0
        furthest = max(furthest, reached())
        if failures >= patience.attempts:
            raise FetchError(f"{url}: {reason} (tries: {failures})", remedy="run the same command again later")
        pause = max(wait, min(patience.pause * 2 ** max(failures - 1, 0), LONGEST_PAUSE))
        logger.debug("%s: %s; again in %.1f s", url, reason, pause)
        stop.wait(pause)


def read(url: str, *, limit: int = 2**25, patience: Patience = PATIENCE, stop: Event | None = None) -> bytes:
    """Return a small document, such as a list of files.

    Parameters
    ----------
    url : str
    limit : int
        Bytes it may have.
    patience : Patience
    stop : Event, optional
        Set it to give up.

    Raises
    ------
    FetchError
        It could not be had, or is too long.
    """

    def once() -> bytes:
        with _open(url, patience) as response:
            body = response.read(limit + 1)
            announced = response.headers.get("Content-Length", "")
        if len(body) > limit:
            raise FetchError(f"{url} is longer than {limit} bytes", "a list of files")
        if announced.isdecimal() and len(body) < int(announced):
            raise _IncompleteError(f"{len(body)} of {announced} bytes")
        return body

    return _persist(url, once, lambda: 0, patience, stop or Event())


def part_path(path: Path) -> Path:
    """Return where the bytes that have come so far of a file lie."""
    return path.with_name(f"{path.name}.part")


def _tag_path(path: Path) -> Path:
    """Return where the host's name for this version of the file lies: a changed file is not resumed."""
    return path.with_name(f"{path.name}.part.etag")


def _discard(path: Path) -> None:
    """Remove what has come of a file."""
    part_path(path).unlink(missing_ok=True)
    _tag_path(path).unlink(missing_ok=True)


def _length(path: Path) -> int:
    """Return the bytes that have come so far."""
    part = part_path(path)
    return part.stat().st_size if part.exists() else 0


def _extent(response: HTTPResponse, offset: int) -> tuple[int, int | None]:
    """Return with which byte an answer begins, and how long the whole file is."""
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", "").strip())
        if match is None or int(match[1]) != offset:
            raise FetchError(
                f"{response.url} answers with {response.headers.get('Content-Range')!r}", f"bytes from {offset}"
            )
        return offset, None if match[2] == "*" else int(match[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


@contextmanager
def _writing(part: Path) -> Iterator[None]:
    """Refuse in words what the disk refuses: unlike an error of the network it does not pass."""
    try:
        yield
    except OSError as error:
        raise FetchError(f"{part} cannot be written: {error}", "room and leave to write", "go on then") from error


def _receive(remote: Remote, path: Path, patience: Patience, stop: Event, moved: Callable[[int], None]) -> None:
    """Get what is missing of a file in one connection."""
    part, tag, offset = part_path(path), _tag_path(path), _length(path)
    if remote.size is not None and offset > remote.size:
        _discard(path)
        offset = 0
    if offset and offset == remote.size:
        return
    headers = {"Range": f"bytes={offset}-"} if offset else {}
    if offset and tag.exists():
        headers["If-Range"] = tag.read_text(encoding="utf-8")
    try:
        response = _open(remote.url, patience, headers)
    except HTTPError as error:
        if error.code != 416 or not offset:
            raise
        with error:
            if error.headers.get("Content-Range", "").strip() == f"bytes */{offset}":
                return  # all of it had come, only its length was unknown
        _discard(path)
        raise _IncompleteError("the host has fewer bytes than have come") from error
    with response:
        position, total = _extent(response, offset)
        if None not in (remote.size, total) and total != remote.size:
            raise FetchError(f"{remote.url} has {total} bytes", f"{remote.size} bytes")
        entity = response.headers.get("ETag", "")
        limit = total if remote.size is None else remote.size
        with _writing(part):
            tag.unlink(missing_ok=True)
            if entity.startswith('"') and entity.isascii():
                tag.write_text(entity, encoding="utf-8")
            file = part.open("ab" if position else "wb")
        with file:
            moved(position)
            while block := response.read(BLOCK):
                if limit is not None and position + len(block) > limit:
                    raise FetchError(f"{remote.url} sends more than {limit} bytes", f"{limit} bytes")
                with _writing(part):
                    file.write(block)
                    file.flush()
                position += len(block)
                moved(position)
                if stop.is_set():
                    raise _IncompleteError("stopped")
    if limit is not None and position < limit:
        raise _IncompleteError(f"the connection ended after {position} of {limit} bytes")


def _digest(path: Path, algorithm: str, stop: Event) -> str:
    """Return a file's checksum in hexadecimal."""
    state = hashlib.new(algorithm, usedforsecurity=False)
    with path.open("rb") as file:
        while (block := file.read(2**20)) and not stop.is_set():
            state.update(block)
    if stop.is_set():
        raise FetchError(f"{path}: stopped", remedy="run the same command again: it goes on from here")
    return state.hexdigest()


def fetch(
    remote: Remote,
    path: Path,
    *,
    patience: Patience = PATIENCE,
    stop: Event | None = None,
    moved: Callable[[int], None] = lambda _: None,
) -> None:
    """Fetch one file; `path` appears only when it is whole and its checksum is right.

    What has come so far lies in ``path`` + ".part" and is kept when the connection, or this program, ends: the next
    call asks for the rest. A file whose checksum is wrong is deleted; if part of it came from an earlier call, it is
    fetched once more from its first byte.

    Parameters
    ----------
    remote : Remote
    path : Path
        The file to make; its folder must exist.
    patience : Patience
    stop : Event, optional
        Set it, from another thread, to stop; the part is kept.
    moved : callable
        Told how many bytes there are, from time to time.

    Raises
    ------
    FetchError
        It could not be had, has another size, or another checksum.
    """
    stop = stop or Event()
    resumed = _length(path) > 0
    part = part_path(path)
    while True:
        try:
            _persist(
                remote.url,
                lambda: _receive(remote, path, patience, stop, moved),
                lambda: _length(path),
                patience,
                stop,
            )
            part.touch()  # a file of no bytes
            algorithm, _, expected = remote.checksum.partition(":")
            found = _digest(part, algorithm, stop) if expected else ""
            if found.startswith(expected.lower()):
                os.replace(part, path)
                _tag_path(path).unlink(missing_ok=True)
                return
            _discard(path)
        except OSError as error:
            raise FetchError(f"{path} cannot be written: {error}") from error
        if not resumed:
            raise FetchError(
                f"{path.name} from {remote.url} has {algorithm} {found} and was deleted",
                f"{algorithm} {expected}",
                "run the same command again; if that repeats, another mirror with --mirrors FILE",
            )
        logger.warning("%s: wrong checksum after going on from an earlier part; fetching it anew", path.name)
        resumed = False
