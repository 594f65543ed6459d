"""What other installed packages bring: name, kind -> encoder or generator of an entry point."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

from necomimi.errors import ConfigError

__all__ = ["find_plugin", "plugin_names"]


def plugin_names(kind: str) -> tuple[str, ...]:
    """Return what installed packages offer, sorted.

    Parameters
    ----------
    kind : {"encoders", "generators"}
        The group of entry points is ``necomimi.encoders`` or ``necomimi.generators``.
    """
    return tuple(sorted({point.name for point in entry_points(group=f"necomimi.{kind}")}))


def find_plugin(kind: str, name: str) -> Callable[..., Any] | None:
    """Return what an installed package offers under a name; None where none does.

    A name in a file thus never runs anything but what was installed, and registered, for this purpose.

    Raises
    ------
    ConfigError
        The package is broken, or two packages offer the name.
    """
    points = list(entry_points(group=f"necomimi.{kind}", name=name))
    if not points:
        return None
    if len({point.value for point in points}) > 1:
        offers = ", ".join(sorted(point.value for point in points))
        raise ConfigError(f"several packages offer {name!r}: {offers}", "one", "uninstall the others")
    try:
        found: object = points[0].load()
    except Exception as error:  # whatever goes wrong in the importing of somebody's module
        raise ConfigError(f"{points[0].value}, which offers {name!r}, cannot be imported: {error!r}") from error
    if not callable(found):
        what = f"{points[0].value}, which offers {name!r}, is a {type(found).__name__}"
        raise ConfigError(what, "a class or function")
    return found
