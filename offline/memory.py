"""Keep freed memory for the next step of a training: this process -> the same, asking the kernel less often."""

from __future__ import annotations

import ctypes
from functools import cache

__all__ = ["keep_freed_memory"]

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
MOST = 2**31 - 1


@cache
def keep_freed_memory() -> bool:
    """Let the C library keep large blocks that were freed, until this process ends; return whether it will.

    glibc gives blocks over 32 MB back at once. The activations of a training step are as large and come again in the
    next one, and pages that the kernel must clear first cost a third of the time of the larger encoders. Elsewhere
    than on glibc nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library; on Windows None is no library
        return False
    return bool(mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, MOST))
