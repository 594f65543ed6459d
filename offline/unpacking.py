"""Unpack archives from the network without trusting a path in them: archive, place of each file -> files."""

from __future__ import annotations

import shutil
import stat
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from threading import Event

from necomimi.errors import DatasetError, NecomimiError

__all__ = ["UnpackError", "safe_parts", "unpack"]

MAX_RATIO = 100  # recordings and pictures shrink by far less: what grows more is a trap
MAX_MEMBERS = 500_000
SPARE = 2**26  # bytes of disk left alone
DEVICES = {"con", "prn", "aux", "nul", *(f"{name}{i}" for name in ("com", "lpt") for i in range(1, 10))}


class UnpackError(NecomimiError):
    """An archive could not be unpacked, through no fault of its own: the disk is full, or the user stopped it."""


def safe_parts(name: str) -> tuple[str, ...]:
    """Return the folders and the file of a path from elsewhere.

    Raises
    ------
    DatasetError
        It is absolute, leads upwards, or holds what no file name should.
    """
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    bad = name.startswith("/") or not parts
    for part in parts:
        bad |= part == ".." or any(char in '\\:*?"<>|' or ord(char) < 32 for char in part)
        bad |= part.split(".")[0].lower() in DEVICES or part[-1] in ". " or len(part.encode()) > 200
    if bad:
        raise DatasetError(f"the path {name!r} is refused", "a relative path, without .. and special characters")
    return parts


def _checked(archive: Path, info: zipfile.ZipInfo) -> tuple[str, ...]:
    """Return the parts of a member's path, or refuse the archive."""
    try:
        # What the archive says, not what zipfile made of it (it cuts names at a zero).
        parts = safe_parts(info.orig_filename)
    except DatasetError as error:
        raise DatasetError(f"{archive.name}: {error.found}", error.expected) from error
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise DatasetError(f"{archive.name}: {info.filename} is a link or a device", "files and folders")
    if info.flag_bits & 1:
        raise DatasetError(f"{archive.name}: {info.filename} is encrypted", "an archive without a password")
    return parts


def unpack(
    archive: Path, out: Path, place: Callable[[tuple[str, ...]], PurePosixPath | None], stop: Event | None = None
) -> dict[str, int]:
    """Unpack a zip file; nothing is written if anything in it is suspect.

    Parameters
    ----------
    archive : Path
    out : Path
        The folder that files go to.
    place : callable
        Given the parts of a member's path, returns where below `out` it goes; None leaves it out.
    stop : Event, optional
        Set it, from another thread, to stop between two files.

    Returns
    -------
    dict of str to int
        Where each file went, relative to `out`, and its bytes.

    Raises
    ------
    DatasetError
        It is damaged, a path in it leads elsewhere, it holds links, or unpacks to far more than its size.
    UnpackError
        The disk is too small, or the user stopped it.
    """
    try:
        with zipfile.ZipFile(archive) as file:
            members = _plan(archive, file, out, place)
            for path, info in members.items():
                if stop is not None and stop.is_set():
                    raise UnpackError(f"{archive.name}: stopped", remedy="run the same command again")
                _extract(file, info, out / path)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, UnicodeError) as error:
        raise DatasetError(f"{archive.name} is damaged: {error}", "a zip archive", "fetch it again") from error
    except OSError as error:
        raise UnpackError(f"{archive.name} cannot be unpacked: {error}", "room and leave to write") from error
    return {path.as_posix(): info.file_size for path, info in members.items()}


def _plan(
    archive: Path,
    file: zipfile.ZipFile,
    out: Path,
    place: Callable[[tuple[str, ...]], PurePosixPath | None],
) -> dict[PurePosixPath, zipfile.ZipInfo]:
    """Return which member goes where, having looked at all of them."""
    infos = file.infolist()
    if len(infos) > MAX_MEMBERS:
        raise DatasetError(f"{archive.name} holds {len(infos)} files", f"at most {MAX_MEMBERS}")
    members: dict[PurePosixPath, zipfile.ZipInfo] = {}
    for info in infos:
        parts = _checked(archive, info)
        path = None if info.is_dir() else place(parts)
        if path is None:
            continue
        if path in members:
            raise DatasetError(f"{archive.name}: two files go to {path}", "one of each")
        members[path] = info
    total = sum(info.file_size for info in members.values())
    if total > MAX_RATIO * archive.stat().st_size:
        raise DatasetError(
            f"{archive.name} of {archive.stat().st_size} bytes unpacks to {total}", f"at most {MAX_RATIO} times as much"
        )
    free = shutil.disk_usage(out).free
    if total + SPARE > free:
        raise UnpackError(f"{out} has {free:,} bytes free", f"{total + SPARE:,} for {archive.name}", "make room")
    return members


def _extract(file: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path) -> None:
    """Write one member; its name appears when it is whole. Its checksum is checked by zipfile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    with file.open(info) as source, partial.open("wb") as target:
        shutil.copyfileobj(source, target, 2**20)
    partial.replace(path)
