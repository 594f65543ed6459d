"""Make the keys of a feed that leaves this machine: folder -> one key pair for the decoder, one for a listener."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from necomimi.console import output
from necomimi.curve import CLIENTS, make_client_keys, make_server_keys

__all__ = ["command"]


def command(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Where the keys go; it is made if need be.")],
    client: Annotated[str, typer.Option(help="Name of the listener: a plain word.")] = "client",
) -> None:
    """Make keys with which the feed may leave this machine, encrypted, for listeners that are known.

    Run it again with another --client to admit one more listener. Nothing is overwritten.

    Example: necomimi keys feed-keys
    """
    server_public, server_secret = make_server_keys(folder)
    _, client_secret = make_client_keys(folder, client)
    for line in (
        "stays with the decoder, for nobody else's eyes:",
        f"    {server_secret}",
        f"    {folder / CLIENTS}  (who may listen: one .key file each, looked up at each connection)",
        f"    necomimi decode DECODER --keys {folder} --feed tcp://0.0.0.0:5790",
        f"goes to the machine of listener {client!r}, by a safe way, into a folder of its own:",
        f"    {server_public}",
        f"    {client_secret}  (secret: move it, leave no copy)",
        "    necomimi view --keys FOLDER --feed tcp://ADDRESS-OF-THE-DECODER:5790",
    ):
        output.print(line, soft_wrap=True, markup=False)
