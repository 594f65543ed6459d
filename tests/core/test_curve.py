"""A feed that leaves the machine is encrypted, and only listeners whose key is known hear it; real sockets."""

from __future__ import annotations

import logging
import os
import shutil
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zmq
import zmq.auth

from necomimi.curve import Doorkeeper, make_client_keys, make_server_keys
from necomimi.errors import ConfigError, FeedError
from necomimi.feed import Publisher, Subscriber
from necomimi.records import Event

EVENT = Event(onset=1.5, label="猫", code=7)
DEADLINE_S = 20.0


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    """Return a folder with the keys of a decoder and of one listener."""
    folder = tmp_path / "keys"
    make_server_keys(folder)
    make_client_keys(folder, "viewer")
    return folder


def kit(keys: Path, folder: Path, name: str = "viewer") -> Path:
    """Return a folder with what a listener's machine is given."""
    folder.mkdir()
    shutil.copy(keys / "server.key", folder)
    shutil.copy(keys / f"{name}.key_secret", folder)
    return folder


def hear(publisher: Publisher, subscriber: Subscriber, until: Callable[[], Any] = lambda: False) -> Any:
    """Publish and listen until something is heard or `until` is true; return what was heard."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        publisher.send(EVENT)
        heard = subscriber.receive(0.05)
        if heard is not None or until():
            return heard
    raise AssertionError(f"neither a record nor the condition within {DEADLINE_S:g} s; {subscriber.problem!r}")


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:*", "tcp://127.0.0.1:*"])
def test_an_admitted_listener_hears_the_feed(keys: Path, tmp_path: Path, address: str) -> None:
    publisher = Publisher(address, keys=keys)
    host = publisher.address.replace("0.0.0.0", "127.0.0.1")
    far = Subscriber(host, keys=kit(keys, tmp_path / "viewer"))
    near = Subscriber(host, keys=keys)  # on one machine, the folder itself serves
    for subscriber in (far, near):
        assert hear(publisher, subscriber) == EVENT
        assert subscriber.problem == ""
        subscriber.close()
    publisher.close()


def test_what_goes_over_the_wire_is_not_readable(keys: Path) -> None:
    """A man in the middle sees neither topic nor label; he would, without keys."""

    def seen(**options: Path) -> bytes:
        publisher = Publisher("tcp://127.0.0.1:*", **options)  # type: ignore[arg-type]
        relay = socket.create_server(("127.0.0.1", 0))
        subscriber = Subscriber(f"tcp://127.0.0.1:{relay.getsockname()[1]}", **options)  # type: ignore[arg-type]
        relay.settimeout(DEADLINE_S)
        inner, _ = relay.accept()
        outer = socket.create_connection(("127.0.0.1", int(publisher.address.rsplit(":", 1)[1])))
        for end in (inner, outer):
            end.settimeout(0.02)
        overheard = b""

        def forward() -> bool:
            nonlocal overheard
            for source, sink in ((inner, outer), (outer, inner)):
                try:
                    data = source.recv(65536)
                except TimeoutError:
                    continue
                overheard += data
                sink.sendall(data)
            return False

        heard = hear(publisher, subscriber, forward)
        assert heard == EVENT
        for end in (inner, outer, relay):
            end.close()
        subscriber.close()
        publisher.close()
        return overheard

    assert b"Event" in seen()
    assert "猫".encode() in seen()
    secret = seen(keys=keys)
    assert b"CURVE" in secret
    assert b"Event" not in secret
    assert "猫".encode() not in secret


def test_listeners_that_do_not_belong_get_nothing_and_are_told(
    keys: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stranger = tmp_path / "stranger"
    make_server_keys(stranger)
    make_client_keys(stranger, "viewer")
    impostor = kit(stranger, tmp_path / "impostor")  # own key, but it knows the decoder's
    shutil.copy(keys / "server.key", impostor)
    misled = kit(keys, tmp_path / "misled")  # an admitted key, but it expects another decoder
    shutil.copy(stranger / "server.key", misled)
    publisher = Publisher("tcp://127.0.0.1:*", keys=keys)
    for folder, words in (
        (None, "asks for keys: --keys DIR"),
        (impostor, "does not admit the key in"),
        (misled, "does not have the secret of"),
    ):
        subscriber = Subscriber(publisher.address, keys=folder)
        heard = hear(publisher, subscriber, lambda subscriber=subscriber: subscriber.problem)  # type: ignore[misc]
        assert heard is None
        assert words in subscriber.problem
        assert publisher.address in subscriber.problem
        assert subscriber.problem in caplog.text
        began = time.monotonic()
        assert subscriber.receive(0.1) is None  # it neither hangs nor returns early
        assert 0.09 < time.monotonic() - began < 5.0
        subscriber.close()
    public, _ = zmq.auth.load_certificate(impostor / "viewer.key_secret")
    assert f"a listener was turned away: its public key {public.decode()} is not in" in caplog.text
    admitted = Subscriber(publisher.address, keys=keys)
    assert hear(publisher, admitted) == EVENT
    admitted.close()
    publisher.close()


def test_keys_are_of_no_use_on_an_open_feed(keys: Path) -> None:
    publisher = Publisher("tcp://127.0.0.1:*")
    subscriber = Subscriber(publisher.address, keys=keys)
    assert hear(publisher, subscriber, lambda: subscriber.problem) is None
    assert "uses no keys" in subscriber.problem
    subscriber.close()
    publisher.close()


def test_a_listener_that_is_admitted_later_needs_not_be_restarted(
    keys: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    public, _ = make_client_keys(keys, "late")
    late = kit(keys, tmp_path / "late", "late")
    waiting = public.rename(tmp_path / "late.key")
    (keys / "clients" / "broken.key").write_text("nothing of the kind", encoding="ascii")
    publisher = Publisher("tcp://127.0.0.1:*", keys=keys)
    subscriber = Subscriber(publisher.address, keys=late)
    assert hear(publisher, subscriber, lambda: subscriber.problem) is None
    assert "broken.key is passed over" in caplog.text
    waiting.rename(public)
    assert hear(publisher, subscriber) == EVENT
    while subscriber.receive(0.05) is not None:
        pass
    assert subscriber.problem == ""
    subscriber.close()
    publisher.close()


def test_two_guarded_feeds_in_one_process(keys: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    make_server_keys(other)
    make_client_keys(other, "viewer")
    publishers = [Publisher("tcp://127.0.0.1:*", keys=folder) for folder in (keys, other)]
    for publisher, folder in zip(publishers, (keys, other), strict=True):
        subscriber = Subscriber(publisher.address, keys=folder)
        assert hear(publisher, subscriber) == EVENT
        subscriber.close()
    for publisher in publishers:
        publisher.close()
        publisher.close()


@pytest.mark.parametrize("address", ["tcp://0.0.0.0:5999", "tcp://*:5999", "tcp://192.168.1.5:5999", "tcp://[::]:5999"])
def test_without_keys_the_feed_stays_on_this_machine(address: str) -> None:
    with pytest.raises(FeedError, match=r"(?s)127\.0\.0\.1.*--keys DIR"):
        Publisher(address)


def test_an_address_that_is_taken_leaves_nothing_behind(keys: Path) -> None:
    publisher = Publisher("tcp://127.0.0.1:*", keys=keys)
    with pytest.raises(FeedError, match="cannot be bound"):
        Publisher(publisher.address, keys=keys)
    publisher.close()


def test_keys_that_are_missing_or_spoilt_are_told(keys: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(ConfigError, match=r"server\.key_secret is missing"):
        Publisher("tcp://127.0.0.1:*", keys=empty)
    with pytest.raises(ConfigError, match=r"server\.key is missing"):
        Subscriber("tcp://127.0.0.1:5999", keys=empty)
    shutil.copy(keys / "server.key", empty)
    with pytest.raises(ConfigError, match=r"no listener's \*\.key_secret"):
        Subscriber("tcp://127.0.0.1:5999", keys=empty)
    make_client_keys(keys, "second")
    with pytest.raises(ConfigError, match=r"holds second\.key_secret, viewer\.key_secret"):
        Subscriber("tcp://127.0.0.1:5999", keys=keys)
    (empty / "x.key_secret").write_text(
        'curve\n    public-key = "short"\n    secret-key = "shorter"\n', encoding="ascii"
    )
    with pytest.raises(ConfigError, match="a key of 5 characters"):
        Subscriber("tcp://127.0.0.1:5999", keys=empty)
    shutil.copy(keys / "server.key_secret", empty)
    with pytest.raises(ConfigError, match="no folder clients"):
        Doorkeeper(empty)
    shutil.copy(keys / "server.key", empty / "server.key_secret")
    with pytest.raises(ConfigError, match="holds no secret key"):
        Doorkeeper(empty)


# Making keys


def test_secret_files_are_private_and_complete(keys: Path, caplog: pytest.LogCaptureFixture) -> None:
    names = sorted(path.relative_to(keys).as_posix() for path in keys.rglob("*") if path.is_file())
    assert names == ["clients/viewer.key", "server.key", "server.key_secret", "viewer.key_secret"]
    for public, secret in (("server.key", "server.key_secret"), ("clients/viewer.key", "viewer.key_secret")):
        public_key, nothing = zmq.auth.load_certificate(keys / public)
        again, secret_key = zmq.auth.load_certificate(keys / secret)
        assert public_key == again == zmq.curve_public(secret_key)
        assert nothing is None
    if os.name == "posix":
        for name in ("server.key_secret", "viewer.key_secret"):
            assert stat.S_IMODE((keys / name).stat().st_mode) == 0o600
        assert stat.S_IMODE(keys.stat().st_mode) == 0o700
        (keys / "server.key_secret").chmod(0o644)
        with caplog.at_level(logging.WARNING):
            Doorkeeper(keys).close()
        assert "server.key_secret can be read by others" in caplog.text


def test_keys_are_never_overwritten(keys: Path, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in keys.rglob("*") if path.is_file()}
    make_server_keys(keys)
    with pytest.raises(ConfigError, match=r"viewer\.key exists"):
        make_client_keys(keys, "viewer")
    assert {path: path.read_bytes() for path in keys.rglob("*") if path.is_file()} == before
    (keys / "server.key").unlink()
    with pytest.raises(ConfigError, match=r"server\.key_secret is there without server\.key"):
        make_server_keys(keys)
    for name in ("../evil", "", "server", "a b", ".hidden", "clients"):
        with pytest.raises(ConfigError, match="a plain word"):
            make_client_keys(keys, name)
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="cannot be written"):
        make_server_keys(tmp_path / "file" / "below")
