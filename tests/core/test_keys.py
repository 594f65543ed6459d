"""`necomimi keys` makes what both ends of a guarded feed need, and says where each file goes."""

from __future__ import annotations

from pathlib import Path

import typer
from typer.testing import CliRunner

from necomimi.errors import ConfigError
from necomimi.keys import command


def run(*arguments: str) -> tuple[str, BaseException | None]:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, list(arguments))
    return result.stdout, result.exception


def test_a_pair_for_the_decoder_and_one_for_each_listener(tmp_path: Path) -> None:
    folder = tmp_path / "feed keys"
    text, error = run(str(folder))
    assert error is None
    stays, goes = text.split("goes to the machine of listener 'client'")
    assert f"{folder / 'server.key_secret'}\n" in stays
    assert f"{folder / 'clients'} " in stays
    assert f"necomimi decode DECODER --keys {folder} --feed tcp://0.0.0.0:5790" in stays
    assert f"{folder / 'server.key'}\n" in goes
    assert f"{folder / 'client.key_secret'} " in goes
    assert "necomimi view --keys FOLDER" in goes
    before = (folder / "server.key_secret").read_bytes()
    text, error = run(str(folder), "--client", "second")
    assert error is None
    assert "listener 'second'" in text
    assert (folder / "server.key_secret").read_bytes() == before
    assert sorted(path.name for path in (folder / "clients").iterdir()) == ["client.key", "second.key"]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    run(str(tmp_path))
    secret = (tmp_path / "client.key_secret").read_bytes()
    _, error = run(str(tmp_path))
    assert isinstance(error, ConfigError)
    assert "client.key exists" in str(error)
    assert "--client NAME" in str(error)
    assert (tmp_path / "client.key_secret").read_bytes() == secret
