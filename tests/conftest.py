"""Set what must be set before LSL, Qt or torch start; give the tests the real recordings, where there are any."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import hypothesis
import pytest

ROOT = Path(__file__).resolve().parents[1]
LSL_FOLDER = Path(tempfile.mkdtemp(prefix="necomimi-lsl-"))

os.environ["LSLAPICFG"] = str(LSL_FOLDER / "lsl_api.cfg")  # child processes inherit all of these
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("GOMP_SPINCOUNT", "100")  # as the command sets it
os.environ.setdefault("OMP_NUM_THREADS", "2")  # torch, numpy and scipy read it when they are first imported

from necomimi.cli import main  # noqa: E402
from necomimi.lsl import write_loopback_config  # noqa: E402

write_loopback_config(LSL_FOLDER / "lsl_api.cfg", f"necomimi-{os.getpid()}")
hypothesis.settings.register_profile("necomimi", deadline=None)  # a busy machine is no fault of an example
hypothesis.settings.load_profile("necomimi")


def pytest_unconfigure() -> None:
    """Remove this process's LSL configuration."""
    shutil.rmtree(LSL_FOLDER, ignore_errors=True)


class Done(NamedTuple):
    """What a command left: its exit status, and what it printed."""

    returncode: int | str | None
    stdout: str
    stderr: str


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Done]:
    """Return what runs ``necomimi`` in this process, which saves the seconds that importing torch takes."""

    def run(*words: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["necomimi", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        return Done(left.value.code, *capsys.readouterr())

    return run


@pytest.fixture
def refused(here: Callable[..., Done]) -> Callable[..., str]:
    """Return what runs `necomimi` in this process, and gives the words in which it refuses its arguments."""

    def run(*arguments: object) -> str:
        done = here(*arguments)
        assert done.returncode == 2, done.stderr
        assert done.stdout == ""
        assert len(done.stderr.strip().splitlines()) <= 3
        return done.stderr

    return run


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real recordings (NECOMIMI_TEST_DATA, or beside the repository); skip where it is absent."""
    folder = Path(os.environ.get("NECOMIMI_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real recordings absent: no folder {folder} (NECOMIMI_TEST_DATA names another)")
    return folder


@pytest.fixture(scope="session")
def load() -> Callable[[Path], Any]:
    """Return the function that makes a module of a file of no package, such as a benchmark."""

    def load_file(path: Path) -> Any:
        spec = importlib.util.spec_from_file_location(path.stem, path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load_file


@pytest.fixture(scope="session")
def tiny_diffusion() -> ModuleType:
    """Return the module that writes tiny random weights of the diffusion generators; skip where diffusers is absent."""
    pytest.importorskip("diffusers", reason="diffusers is not installed: pip install 'necomimi[diffusion]'")
    pytest.importorskip("peft", reason="peft is not installed: pip install 'necomimi[diffusion]'")
    from .core import tiny_diffusion

    return tiny_diffusion
