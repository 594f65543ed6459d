"""A web server that fails as real ones do; epochs of three people who can be decoded; the program in this process."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest

from necomimi.epochs import EpochsWriter, Trial
from necomimi.gallery import Gallery
from necomimi.preprocessing import Preprocessor


class Web(ThreadingHTTPServer):
    """Serves `files`; the next fault of a path, if it has any left, decides how a request for it is answered.

    Faults: an int is a status without a body; "drop:N" ends the connection after N bytes of the body; "norange"
    ignores the range; "silent" says nothing; "to:URL" redirects.
    """

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.faults: dict[str, list[int | str]] = {}
        self.headers: dict[str, str] = {}  # sent with every fault that is a status
        self.tags: dict[str, str] = {}
        self.asked: list[tuple[str, str]] = []  # path with query, Range
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"

    def ranges(self, path: str) -> list[str]:
        """Return the ranges that were asked of a file, in order."""
        return [where for asked, where in self.asked if asked == path]


class Handler(BaseHTTPRequestHandler):
    server: Web

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        web, path = self.server, self.path
        web.asked.append((path, self.headers.get("Range", "")))
        assert self.headers["Accept-Encoding"] == "identity"
        fault = web.faults[path].pop(0) if web.faults.get(path) else ""
        body = web.files.get(path, web.files.get(unquote(urlsplit(path).path)))
        if isinstance(fault, str) and fault.startswith("to:"):
            self.send_response(302)
            self.send_header("Location", fault[3:])
            self.end_headers()
            return
        if fault == "silent":
            web.closing.wait(20)
            return
        if isinstance(fault, int) or body is None:
            self.send_response(fault if isinstance(fault, int) else 404)
            for name, value in web.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        tag = web.tags.get(path, "")
        begin = int(match[1]) if match and fault != "norange" else 0
        if self.headers.get("If-Range", tag) != tag:
            begin = 0
        if begin and begin >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        self.send_response(206 if begin else 200)
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(body) - 1}/{len(body)}")
        if tag:
            self.send_header("ETag", tag)
        self.send_header("Content-Length", str(len(body) - begin))
        self.end_headers()
        rest = body[begin:]
        if isinstance(fault, str) and fault.startswith("drop:"):
            rest = rest[: int(fault[5:])]
        with suppress(ConnectionError):  # a client that has seen enough
            self.wfile.write(rest)
        self.close_connection = True


@pytest.fixture
def web(monkeypatch: pytest.MonkeyPatch) -> Iterator[Web]:
    """Return a running server on 127.0.0.1."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with Web() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture(scope="session")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a read-only folder with epochs/sub-01 to sub-03, and the galleries training and test.

    24 concepts of two pictures, each shown twice, and six test pictures, each shown five times; the signal is a linear
    function of the picture's embedding, a little different for each person.
    """
    folder = tmp_path_factory.mktemp("people")
    rng = np.random.default_rng(0)
    n_channels, n_times, n_dims = 4, 16, 6
    common = rng.normal(size=(n_dims, n_channels, n_times))
    galleries = {}
    for name, concepts, n_pictures in (("training", range(24), 2), ("test", range(24, 30), 1)):
        files = tuple(f"{c:05d}_c{c}/c{c}_{p}.jpg" for c in concepts for p in range(n_pictures))
        vectors = rng.normal(size=(len(files), n_dims))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        labels = tuple(Path(file).parent.name[6:] for file in files)
        galleries[name] = Gallery(labels=labels, files=files, embeddings=vectors.astype(np.float32), space="random:6")
        galleries[name].save(folder / name)
    for number in (1, 2, 3):
        mixing = common + 0.3 * rng.normal(size=common.shape)
        spatial = np.eye(n_channels, dtype=np.float32) * (1 + 0.1 * number)
        preprocessor = Preprocessor(
            ch_names=tuple("ABCD"), sfreq=100.0, tmin=0.0, tmax=0.15, baseline=None, start=0.0, n_times=n_times,
            spatial=spatial,
        )  # fmt: skip
        with EpochsWriter(folder / "epochs" / f"sub-{number:02d}") as writer:
            for split, gallery, n_repetitions in (("train", "training", 2), ("test", "test", 5)):
                seen = galleries[gallery]
                items = np.tile(np.arange(len(seen)), n_repetitions)
                trials = [
                    Trial(
                        label=seen.labels[item], picture=seen.files[item], repetition=1 + i // len(seen), onset=float(i)
                    )
                    for i, item in enumerate(items)
                ]
                noise = 0.3 * rng.normal(size=(len(items), n_channels, n_times))
                data = np.einsum("nd,dct->nct", seen.embeddings[items], mixing) + noise
                writer.create(split, trials, n_channels, n_times)[:] = data
            writer.finish(preprocessor, "a test", subject=f"sub-{number:02d}")
    return folder


@pytest.fixture(scope="session")
def painters() -> ModuleType:
    """Return the module with the generator `Blocks`, and what writes a person whose EEG tells of its pictures."""
    from . import painters

    return painters


@pytest.fixture(scope="session")
def painted_person(painters: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a read-only folder with epochs, gallery, training, decoder (with a prior) and pictures."""
    folder = tmp_path_factory.mktemp("person")
    painters.write_person(folder)
    return folder
