"""Give the tests of the windows one application, English to begin with, and the command in this process."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyqtgraph.Qt import QtWidgets

from necomimi.gui.language import use_language

Ran = tuple[int | str | None, str, str]  # exit status, output, remarks


@pytest.fixture(scope="session", autouse=True)
def application() -> Any:
    return QtWidgets.QApplication.instance() or QtWidgets.QApplication(["test"])


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    use_language("en")


@pytest.fixture
def necomimi(
    here: Callable[..., tuple[int | str | None, str, str]],
) -> Callable[..., tuple[int | str | None, str, str]]:
    """Return a function that runs the command here, where no window opens: exit status, output, remarks."""

    def run(*arguments: object) -> Ran:
        before = signal.getsignal(signal.SIGINT)
        done = here(*arguments)
        assert signal.getsignal(signal.SIGINT) is before
        return done

    return run
