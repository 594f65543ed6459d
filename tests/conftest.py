"""Set what must be set before LSL, Qt or torch start; give the tests the real recordings, where there are any."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LSL_FOLDER = Path(tempfile.mkdtemp(prefix="necomimi-lsl-"))

os.environ["LSLAPICFG"] = str(LSL_FOLDER / "lsl_api.cfg")  # child processes inherit all of these
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("GOMP_SPINCOUNT", "100")  # as the command sets it
os.environ.setdefault("OMP_NUM_THREADS", "2")  # torch, numpy and scipy read it when they are first imported

from necomimi.lsl import write_loopback_config  # noqa: E402

write_loopback_config(LSL_FOLDER / "lsl_api.cfg", f"necomimi-{os.getpid()}")


def pytest_unconfigure() -> None:
    """Remove this process's LSL configuration."""
    shutil.rmtree(LSL_FOLDER, ignore_errors=True)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real recordings (NECOMIMI_TEST_DATA, or beside the repository); skip where it is absent."""
    folder = Path(os.environ.get("NECOMIMI_TEST_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real recordings absent: no folder {folder} (NECOMIMI_TEST_DATA names another)")
    return folder
