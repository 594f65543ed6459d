"""Read a score matrix and its targets: .npy files -> checked arrays, nothing unpickled."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from necomimi.errors import DatasetError

__all__ = ["load_scores"]


def load_scores(scores: Path, targets: Path | None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Read a score matrix and its targets (the diagonal where none are given), refusing pickled objects.

    Raises
    ------
    DatasetError
        A file is not a plain numeric array, or the shapes do not fit.
    """
    matrix = _load_array(scores, "a numeric matrix (n_queries, n_candidates)")
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        raise DatasetError(
            f"{scores} holds {matrix.dtype} of shape {matrix.shape}", "numbers (n_queries, n_candidates)"
        )
    if targets is not None:
        chosen = _load_array(targets, "whole numbers (n_queries,)")
        if chosen.shape != matrix.shape[:1] or chosen.dtype.kind not in "iu":
            raise DatasetError(
                f"{targets} holds {chosen.dtype} of shape {chosen.shape}", f"whole numbers ({len(matrix)},)"
            )
        return matrix.astype(np.float64), chosen.astype(np.int64)
    if matrix.shape[0] > matrix.shape[1]:
        raise DatasetError(
            f"{scores} has {matrix.shape[0]} queries and {matrix.shape[1]} candidates: the diagonal is no target",
            "at least as many candidates as queries",
            "give the column of each query's target with --targets FILE.npy",
        )
    return matrix.astype(np.float64), np.arange(len(matrix))


def _load_array(path: Path, expected: str) -> NDArray[Any]:
    """Read a .npy file without ever unpickling."""
    try:
        array = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DatasetError(f"{path} cannot be read: {error}", expected, "save it with numpy.save") from error
    if not isinstance(array, np.ndarray):
        raise DatasetError(f"{path} is an archive of arrays", expected, "save one array with numpy.save")
    return array
