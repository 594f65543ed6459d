"""Give the tests of the windows one application, English to begin with, and the command in this process."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyqtgraph.Qt import QtWidgets

from necomimi import cli
from necomimi.gui.language import use_language


@pytest.fixture(scope="session", autouse=True)
def application() -> Any:
    return QtWidgets.QApplication.instance() or QtWidgets.QApplication(["test"])


@pytest.fixture(autouse=True)
def english_again() -> Iterator[None]:
    yield
    use_language("en")


@pytest.fixture
def necomimi(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int | str | None, str, str]]:
    """Return a function that runs the command here, where no window opens: exit status, output, remarks."""

    def run(*arguments: object) -> tuple[int | str | None, str, str]:
        monkeypatch.setattr(sys, "argv", ["necomimi", *map(str, arguments)])
        before = signal.getsignal(signal.SIGINT)
        with pytest.raises(SystemExit) as left:
            cli.main()
        assert signal.getsignal(signal.SIGINT) is before
        return left.value.code, *capsys.readouterr()

    return run
