"""Where the files of a data set go, and which must be there: path at the host -> path that other commands read."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from necomimi.errors import DatasetError
from necomimi.things_eeg2 import preprocessed_path, raw_path

from .fetching import Remote, part_path
from .mirrors import Entry
from .unpacking import safe_parts

__all__ = ["KINDS", "N_SUBJECTS", "Target", "absent", "place", "targets"]

N_SUBJECTS = {"things-eeg2": 10, "things-meg": 4}
KINDS = {"things-eeg2": ("raw", "preprocessed", "images", "metadata"), "things-meg": ("preprocessed",)}
N_SESSIONS = 4  # of a THINGS-EEG2 subject
IMAGE_FOLDERS = ("training_images", "test_images")


ARCHIVES = ".download"  # the folder of archives that are not unpacked yet, and of notes on those that are


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One file to have, and where it can be had.

    Parameters
    ----------
    kind : str
        "raw", "preprocessed", "images" or "metadata".
    path : Path
        The file to make.
    parts : tuple of str
        Its path in the host's project.
    remotes : tuple of Remote
        Mirrors, tried in this order.
    """

    kind: str
    path: Path
    parts: tuple[str, ...]
    remotes: tuple[Remote, ...]

    @property
    def is_archive(self) -> bool:
        """Whether it is unpacked after it has come."""
        return self.path.suffix == ".zip"

    @property
    def note(self) -> Path:
        """The file that tells what an archive held, once it is unpacked."""
        return self.path.with_name(f"{self.path.name}.json")

    @property
    def missing(self) -> int:
        """Bytes still to come, as far as the host tells."""
        have = next((path.stat().st_size for path in (self.path, part_path(self.path)) if path.exists()), 0)
        return max((self.remotes[0].size or 0) - have, 0)

    def is_done(self, out: Path) -> bool:
        """Return whether the file, or each file that the archive held, is on disk in its full length."""
        if not self.is_archive:
            sizes = {remote.size for remote in self.remotes}
            return self.path.is_file() and (None in sizes or self.path.stat().st_size in sizes)
        try:
            note = json.loads(self.note.read_text(encoding="utf-8"))
            sources = [[remote.size, remote.checksum] for remote in self.remotes]
            return note["source"] in sources and all(
                (out / path).is_file() and (out / path).stat().st_size == size for path, size in note["files"].items()
            )
        except (OSError, ValueError, LookupError, TypeError, AttributeError):
            return False


def targets(found: Iterable[Entry], dataset: str, subjects: Sequence[int], out: Path) -> tuple[list[Target], list[str]]:
    """Return the files to have, in order, and what is wrong with the others.

    Parameters
    ----------
    found : iterable of Entry
        What hosts list; entries that lead to the same file are mirrors of it.
    dataset : str
    subjects : sequence of int
    out : Path
        The data set's folder.
    """
    chosen: dict[Path, Target] = {}
    problems = []
    for entry in found:
        if entry.subject is not None and entry.subject not in subjects:
            continue
        try:
            parts = safe_parts(entry.path)
        except DatasetError as error:
            problems.append(str(error.found))
            continue
        path: Path | None
        if parts[-1].lower().endswith(".zip"):
            path = out.joinpath(ARCHIVES, entry.kind, *parts[:-1], f"{parts[-1][:-4]}.zip")
        else:
            place_of = place(dataset, entry.kind, subjects)(parts)
            path = None if place_of is None else out / place_of
        if path is not None:
            remotes = (*chosen[path].remotes, entry.remote) if path in chosen else (entry.remote,)
            chosen[path] = Target(kind=entry.kind, path=path, parts=parts, remotes=remotes)
    return list(chosen.values()), problems


def place(
    dataset: str, kind: str, subjects: Iterable[int], folders: tuple[str, ...] = ()
) -> Callable[[tuple[str, ...]], PurePosixPath | None]:
    """Return the function that tells where a file goes, None if it is not wanted.

    Parameters
    ----------
    dataset : {"things-eeg2", "things-meg"}
    kind : str
        One of `KINDS`.
    subjects : iterable of int
        Whose files are wanted.
    folders : tuple of str
        What the file is in, for what an archive holds: the archive's own path without its suffix.
    """
    wanted = set(subjects)

    def where(parts: tuple[str, ...]) -> PurePosixPath | None:
        parts = (*folders, *parts)
        name = parts[-1]
        if name.startswith(".") or "__MACOSX" in parts:
            return None
        if dataset == "things-meg":
            match = re.fullmatch(r"preprocessed_P(\d+)-epo(-\d+)?\.fif", name)
            return PurePosixPath("derivatives", "preprocessed", name) if match and int(match[1]) in wanted else None
        if kind == "metadata":
            return PurePosixPath("image_set", name) if name == "image_metadata.npy" else None
        if kind == "images":
            begin = max((i for i, part in enumerate(parts[:-1]) if part in IMAGE_FOLDERS), default=None)
            return None if begin is None else PurePosixPath("image_set", *parts[begin:])
        matches = [(i, re.fullmatch(r"sub-(\d+)", part)) for i, part in enumerate(parts[:-1])]
        begin, match = max(((i, match) for i, match in matches if match), default=(0, None), key=lambda item: item[0])
        if match is None or int(match[1]) not in wanted or not name.endswith(".npy"):
            return None
        return PurePosixPath(f"sub-{int(match[1]):02d}", *parts[begin + 1 :])

    return where


def absent(root: Path, dataset: str, kind: str, subjects: Iterable[int]) -> list[str]:
    """Return what of a kind is not on disk, one line each: a subject without a session is named, and so on."""
    lines = []
    if dataset == "things-meg":
        folder = root / "derivatives" / "preprocessed"
        files = {number: folder / f"preprocessed_P{number}-epo.fif" for number in subjects}
        return [f"subject {number}: no {path}" for number, path in files.items() if not path.is_file()]
    if kind == "metadata":
        path = root / "image_set" / "image_metadata.npy"
        return [] if path.is_file() else [f"no {path}"]
    if kind == "images":
        folders = [root / "image_set" / name for name in IMAGE_FOLDERS]
        return [f"no pictures in {folder}" for folder in folders if not any(folder.glob("*/*"))]
    for number in subjects:
        if kind == "preprocessed":
            paths = [preprocessed_path(root, number, split) for split in ("training", "test")]
            lines += [f"subject {number}: no {path}" for path in paths if not path.is_file()]
            continue
        for session in range(1, N_SESSIONS + 1):
            paths = [raw_path(root, number, session, split) for split in ("training", "test")]
            names = " and no ".join(path.name for path in paths if not path.is_file())
            if names:
                lines.append(f"subject {number}, session {session}: no {names}")
    return lines
