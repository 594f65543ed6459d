"""Which network liblsl sees: lsl_api.cfg in force, library in use -> their names; a configuration of one's own."""

from __future__ import annotations

import os
from contextlib import suppress
from functools import cache
from pathlib import Path

import pylsl
import pylsl.lib

__all__ = ["configuration_file", "library", "silence_remarks", "write_loopback_config"]


def library() -> tuple[str, str]:
    """Return liblsl's version and path."""
    version = pylsl.library_version()
    return f"{version // 100}.{version % 100}", str(pylsl.lib.lib._name)


def configuration_file() -> str:
    """Return the path of the `lsl_api.cfg` that liblsl reads, or "" for its built-in defaults."""
    candidates = [os.environ.get("LSLAPICFG", ""), "lsl_api.cfg", str(Path("~/lsl_api/lsl_api.cfg").expanduser())]
    candidates.append("/etc/lsl_api/lsl_api.cfg")
    return next((path for path in candidates if path and Path(path).is_file()), "")


@cache
def silence_remarks() -> None:
    """Keep liblsl's remarks (INFO) off standard error where no `lsl_api.cfg` is in force; its warnings and errors stay.

    To be called before liblsl first looks for a stream or makes one: it reads its configuration then, and once.
    """
    if not configuration_file():
        with suppress(NotImplementedError):  # a liblsl before 1.17.7
            pylsl.set_config_content("[log]\nlevel = -1\n")


def write_loopback_config(path: Path, session_id: str) -> Path:
    """Write an LSL configuration that sees only this machine's streams of one session.

    Set the environment variable ``LSLAPICFG`` to the returned path before the first LSL call of a process.

    Parameters
    ----------
    path : Path
        The file to write.
    session_id : str
        Streams of other sessions stay invisible.
    """
    path.write_text(
        "[ports]\nIPv6 = disable\nBasePort = 26572\nMulticastPort = 26571\nPortRange = 64\n"
        "[multicast]\nResolveScope = machine\nListenAddress = 127.0.0.1\n"
        f"[lab]\nKnownPeers = {{127.0.0.1}}\nSessionID = {session_id}\n[log]\nlevel = -2\n",
        encoding="utf-8",
    )
    return path
