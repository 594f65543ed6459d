"""safetensors + JSON in the Hugging Face layout: config and weights <-> directory, loaded strictly."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from necomimi.errors import CheckpointError

__all__ = ["check_overwritable", "read_config", "whole_directory", "write_config"]

VERSIONS = {"decoder": 1, "gallery": 1, "generator": 1, "prior": 1, "epochs": 1}  # that this program writes, by kind
MAX_CONFIG_BYTES = 64 * 2**20


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """Yield a new folder to fill; it replaces `path` when the with block ends without an error, and else vanishes."""
    path = path.resolve()  # a link stays, what it leads to is replaced
    partial = path.with_name(f"{path.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)  # of a run that was killed
    partial.mkdir(parents=True)
    try:
        yield partial
        if path.exists():
            shutil.rmtree(path)
        partial.rename(path)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def check_overwritable(path: Path, kind: str) -> None:
    """Make sure that nothing but a directory of this kind would be replaced by one written to `path`.

    Raises
    ------
    CheckpointError
        `path` is a file, or a directory that holds something else.
    """
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        try:
            read_config(path, kind)
        except CheckpointError as error:
            remedy = f"another OUT: nothing but a {kind} directory is replaced"
            raise CheckpointError(error.found, error.expected, remedy) from error


def write_config(path: Path, kind: str, fields: dict[str, Any]) -> None:
    """Write ``path/config.json``: its format name, its version, and `fields`."""
    path.mkdir(parents=True, exist_ok=True)
    config = {"format": f"necomimi-{kind}", "version": VERSIONS[kind], **fields}
    (path / "config.json").write_text(json.dumps(config, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_config(path: Path, kind: str) -> dict[str, Any]:
    """Return the fields of ``path/config.json``, refusing another kind or version in words.

    Parameters
    ----------
    path : Path
        The directory.
    kind : str
        "decoder", "gallery", "generator", "prior" or "epochs".

    Raises
    ------
    CheckpointError
        The directory is absent, damaged, of another kind, or newer than this program.
    """
    file = path / "config.json"
    expected = f"a {kind} directory written by necomimi"
    if not path.is_dir():
        raise CheckpointError(f"{path} is not a directory", expected)
    if not file.is_file():
        raise CheckpointError(f"{path} holds no config.json", expected)
    if file.stat().st_size > MAX_CONFIG_BYTES:
        raise CheckpointError(f"{file} is {file.stat().st_size} bytes long", f"at most {MAX_CONFIG_BYTES}")
    try:
        config: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"{file} is damaged: {error}", expected, f"make the {kind} again") from error
    found = config.get("format") if isinstance(config, dict) else None
    if found != f"necomimi-{kind}":
        raise CheckpointError(f"{file} says its format is {found!r}", f"'necomimi-{kind}'")
    if not isinstance(config.get("version"), int) or config["version"] > VERSIONS[kind]:
        raise CheckpointError(
            f"{file} has version {config.get('version')!r}",
            f"at most {VERSIONS[kind]}",
            "update necomimi, or make it again",
        )
    return config
