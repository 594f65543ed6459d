"""Fit the embedded embedder's fixed projection, once: embedded picture set -> necomimi/assets/*.safetensors.

``python -m necomimi.offline.fit_projection`` made the file that is part of the package. All galleries and decoders of
the embedded space depend on it: another file is another space and needs another name in `necomimi.embedders`.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.numpy import save_file

from necomimi.console import console, progress
from necomimi.device import channels_last
from necomimi.embedders import N_DIMS, PROJECTION_PATH, embedded_features, prepare_embedded
from necomimi.pictures import concepts, draw_picture

__all__ = ["half_whitening"]

EXEMPLARS = 6
SEED = 1000  # a simulated subject sees other exemplars of the same concepts


def half_whitening(features: NDArray[np.floating], n_dims: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return a principal component projection that divides each component by the square root of its deviation.

    Parameters
    ----------
    features : ndarray, shape (n_pictures, n_features)
    n_dims : int
        Components kept, the strongest ones.

    Returns
    -------
    weight : ndarray, shape (n_dims, n_features)
        Rows are signed so that their largest entry is positive.
    mean : ndarray, shape (n_features,)
    """
    mean = features.mean(axis=0, dtype=np.float64)
    _, lengths, components = np.linalg.svd(features - mean, full_matrices=False)
    weight = components[:n_dims] / np.sqrt(lengths[:n_dims, None] / np.sqrt(len(features)))
    largest = np.take_along_axis(weight, np.abs(weight).argmax(axis=1, keepdims=True), axis=1)
    return weight * np.sign(largest), mean


def _main() -> None:
    """Write the projection of this version of the picture set."""
    network = channels_last(embedded_features())
    features = []
    with progress() as bar, torch.inference_mode():
        for concept in bar.track(concepts(), description="pictures"):
            drawn = [draw_picture(concept, i, SEED) for i in range(EXEMPLARS)]
            batch = torch.stack([prepare_embedded(picture) for picture in drawn])
            features.append(network(batch.contiguous(memory_format=torch.channels_last)).numpy())
    weight, mean = half_whitening(np.concatenate(features), N_DIMS)
    PROJECTION_PATH.parent.mkdir(exist_ok=True)
    save_file({"weight": weight.astype(np.float16), "mean": mean.astype(np.float32)}, PROJECTION_PATH)
    PROJECTION_PATH.chmod(0o644)
    console.print(f"{PROJECTION_PATH}: {PROJECTION_PATH.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    _main()
