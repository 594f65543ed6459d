"""Which network liblsl sees: lsl_api.cfg in force, library in use -> their names; a configuration of one's own."""

from __future__ import annotations

import os
from pathlib import Path

import pylsl
import pylsl.lib

__all__ = ["configuration_file", "library", "write_loopback_config"]


def library() -> tuple[str, str]:
    """Return liblsl's version and path."""
    version = pylsl.library_version()
    return f"{version // 100}.{version % 100}", str(pylsl.lib.lib._name)


def configuration_file() -> str:
    """Return the path of the `lsl_api.cfg` that liblsl reads, or "" for its built-in defaults."""
    candidates = [os.environ.get("LSLAPICFG", ""), "lsl_api.cfg", str(Path("~/lsl_api/lsl_api.cfg").expanduser())]
    candidates.append("/etc/lsl_api/lsl_api.cfg")
    return next((path for path in candidates if path and Path(path).is_file()), "")


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
