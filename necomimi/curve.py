"""Secure the feed's sockets: folder of keys -> encryption, and only listeners that are known (CURVE, RFC 26).

::

    keys/
    ├── server.key_secret     the decoder's, and nobody else's
    ├── server.key            a listener knows the decoder by it
    ├── clients/NAME.key      a listener that is admitted; read anew at each connection
    └── NAME.key_secret       that listener's own

The decoder needs the first and the third, a listener the second and the last. The files are those of `zmq.auth`.
"""

from __future__ import annotations

import logging
import os
import re
import stat
from pathlib import Path

import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

from necomimi.errors import ConfigError

__all__ = ["CLIENTS", "Doorkeeper", "make_client_keys", "make_server_keys", "protect_client"]

logger = logging.getLogger(__name__)

SERVER = "server"
CLIENTS = "clients"
DOMAIN = "necomimi-feed"
MAX_REMEMBERED = 100
REMEDY = "necomimi keys DIR makes keys, and says which file goes where"


def make_server_keys(folder: Path) -> tuple[Path, Path]:
    """Make the decoder's key pair, unless it is there; return its public and its secret file.

    Raises
    ------
    ConfigError
        The folder cannot be written, or holds one of the two files without the other.
    """
    public, secret = folder / f"{SERVER}.key", folder / f"{SERVER}.key_secret"
    if public.exists() != secret.exists():
        there, gone = (public, secret) if public.exists() else (secret, public)
        raise ConfigError(f"{there} is there without {gone.name}", "both or neither", "give another folder")
    if not public.exists():
        _write_pair(public, secret, "the decoder")
    return public, secret


def make_client_keys(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a listener's key pair and admit it; return its public and its secret file.

    Raises
    ------
    ConfigError
        The name is no plain word or is taken, or the folder cannot be written.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name) or name.lower() in (SERVER, CLIENTS):
        raise ConfigError(f"--client {name!r}", f"a plain word other than {SERVER} and {CLIENTS}")
    public, secret = folder / CLIENTS / f"{name}.key", folder / f"{name}.key_secret"
    taken = next((path for path in (public, secret) if path.exists()), None)
    if taken is not None:
        raise ConfigError(f"{taken} exists", "keys are never overwritten", "another --client NAME, or another folder")
    _write_pair(public, secret, f"listener {name}")
    return public, secret


def _write_pair(public: Path, secret: Path, owner: str) -> None:
    """Write a new pair of keys, the secret one first and for this user's eyes only."""
    public_key, secret_key = (key.decode("ascii") for key in zmq.curve_keypair())
    body = f'metadata\ncurve\n    public-key = "{public_key}"\n'
    try:
        for folder in (secret.parent, public.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(secret, f'#   SECRET key of {owner} (necomimi feed)\n{body}    secret-key = "{secret_key}"\n', 0o600)
        _write_new(public, f"#   Public key of {owner} (necomimi feed)\n{body}", 0o644)
    except OSError as error:
        raise ConfigError(
            f"{error.filename or public} cannot be written: {error.strerror}", "a writable folder"
        ) from error


def _write_new(path: Path, text: str, mode: int) -> None:
    """Write a file that is not there yet, never readable to more than `mode` allows."""
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "w", encoding="ascii") as file:
        file.write(text)


def _read(path: Path, secret: bool) -> tuple[bytes, bytes]:
    """Return the public and the secret key ("" where it is not asked for) of a file."""
    try:
        public_key, secret_key = zmq.auth.load_certificate(path)
    except (OSError, ValueError) as error:
        found = f"key file {path} is missing" if not path.exists() else f"{path} is no key file: {error}"
        raise ConfigError(found, "the keys of the feed", REMEDY) from error
    if secret and secret_key is None:
        raise ConfigError(f"{path} holds no secret key", "a *.key_secret file", REMEDY)
    for key in (public_key, secret_key):
        if key is not None and len(key) != 40:
            raise ConfigError(f"{path} holds a key of {len(key)} characters", "40", REMEDY)
    if secret and os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
        logger.warning("%s can be read by others: chmod 600 %s", path, path)
    return public_key, secret_key or b""


def protect_client(socket: zmq.Socket[bytes], folder: Path) -> None:
    """Let a socket that will connect show its key, and accept only the decoder that it knows.

    Parameters
    ----------
    socket : zmq.Socket
    folder : Path
        Holds ``server.key`` and one listener's ``*.key_secret``.

    Raises
    ------
    ConfigError
        A key is missing, not readable or not unique.
    """
    server_key, _ = _read(folder / f"{SERVER}.key", secret=False)
    own = sorted(path for path in folder.glob("*.key_secret") if path.stem != SERVER)
    if len(own) != 1:
        listing = ", ".join(path.name for path in own) or "no listener's *.key_secret"
        raise ConfigError(f"{folder} holds {listing}", "one listener's secret key beside server.key", REMEDY)
    socket.curve_publickey, socket.curve_secretkey = _read(own[0], secret=True)
    socket.curve_serverkey = server_key


class Doorkeeper:
    """A ZeroMQ context whose listening sockets are encrypted, and admit only the keys in a folder.

    The folder's ``clients`` is read at each new connection: a listener is admitted when its file is put there, and no
    more when it is taken away (a connection that stands, stands).

    Parameters
    ----------
    folder : Path
        Holds ``server.key_secret`` and ``clients``.

    Raises
    ------
    ConfigError
        The decoder's key is missing or not readable.
    """

    def __init__(self, folder: Path) -> None:
        self._clients = folder / CLIENTS
        self._keys = _read(folder / f"{SERVER}.key_secret", secret=True)
        if not self._clients.is_dir():
            raise ConfigError(f"{folder} has no folder {CLIENTS}", "the public keys of those who may listen", REMEDY)
        self._turned_away: set[bytes] = set()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._authenticator = ThreadAuthenticator(self.context, log=logging.getLogger(f"{__name__}.zap"))
        self._authenticator.configure_curve_callback(DOMAIN, credentials_provider=self)
        self._authenticator.start()  # before any socket listens: CURVE without a doorkeeper admits all

    def protect(self, socket: zmq.Socket[bytes]) -> None:
        """Make a socket of this context, before it is bound, ask for keys."""
        socket.curve_publickey, socket.curve_secretkey = self._keys
        socket.curve_server = True
        socket.zap_domain = DOMAIN.encode("ascii")

    def callback(self, domain: str, key: bytes) -> bool:
        """Return whether a listener's public key is admitted (called by `zmq.auth` in a thread of its own)."""
        for path in self._clients.glob("*.key"):
            try:
                if zmq.auth.load_certificate(path)[0] == key:
                    return True
            except (OSError, ValueError) as error:
                logger.warning("%s is passed over: %s", path, error)
        if key not in self._turned_away and len(self._turned_away) < MAX_REMEMBERED:
            self._turned_away.add(key)
            logger.warning("a listener was turned away: its public key %s is not in %s", key.decode(), self._clients)
        return False

    def close(self) -> None:
        """End the thread and the context, once the sockets are closed (waits for what they still send)."""
        self._authenticator.stop()
        self.context.term()
