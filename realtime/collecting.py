"""Collect EEG for the viewers: many small Chunks -> a few larger ones."""

from __future__ import annotations

import numpy as np

from necomimi.records import Chunk

__all__ = ["ChunkCollector"]

CHUNK_S = 0.05


class ChunkCollector:
    """Hold chunks until they are `CHUNK_S` long together."""

    def __init__(self) -> None:
        self._chunks: list[Chunk] = []
        self._n_times = 0

    def add(self, chunk: Chunk) -> Chunk | None:
        """Take in a chunk; return all that was held as one, or None."""
        self._chunks.append(chunk)
        self._n_times += chunk.data.shape[1]
        if self._n_times < CHUNK_S * chunk.info.sfreq:
            return None
        chunks, self._chunks, self._n_times = self._chunks, [], 0
        return Chunk(
            data=np.concatenate([chunk.data for chunk in chunks], axis=1),
            timestamps=np.concatenate([chunk.timestamps for chunk in chunks]),
            info=chunk.info,
        )
