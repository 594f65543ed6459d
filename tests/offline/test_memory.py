"""Memory that a training frees stays with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

LOOK = """
import sys
import numpy as np, psutil
from necomimi.offline.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory() is True
for _ in range(3):
    block = np.ones(64 * 2**20, dtype=np.uint8)
    del block
print(psutil.Process().memory_info().rss / 2**20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the switch")
def test_a_large_block_stays_with_the_process() -> None:
    found = {}
    for way in ("keep", "plain"):
        done = subprocess.run([sys.executable, "-c", LOOK, way], capture_output=True, text=True, check=True)
        found[way] = float(done.stdout)
    assert 48 < found["keep"] - found["plain"] < 100  # MB: one block of 64, not three
