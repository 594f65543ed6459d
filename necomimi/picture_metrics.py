"""Score painted pictures against the true ones: two sets of pictures or of their features -> numbers per picture.

The convention is that of MindEye (Scotti et al. 2023, https://arxiv.org/abs/2305.18274), whose tables most papers on
pictures from brain signals follow. A constant picture, or constant features, correlate with nothing: their correlation
counts as 0 here, where numpy's is not a number.
"""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from necomimi.errors import DatasetError

__all__ = [
    "check_pictures",
    "correlation_distance",
    "frechet_distance",
    "pixel_correlation",
    "resize",
    "ssim",
    "two_way",
]

SIZE = 425  # pixels along each side, at which pictures are compared
GREY = (0.2125, 0.7154, 0.0721)  # of red, green, blue: ITU-R BT.709, as scikit-image has them
SIGMA, RADIUS = 1.5, 5  # pixels: the window of Wang et al. (2004), cut off at 3.5 sigma
C1, C2 = 0.01**2, 0.03**2  # of the same paper, for values from 0 to 1
BATCH = 4  # pictures
COLUMNS = 2**14  # of feature arrays, taken at once
EQUAL = 1e-9  # correlations that differ by less are tied: that much is rounding


def check_pictures(truth: NDArray[np.uint8], painted: NDArray[np.uint8]) -> None:
    """Refuse pictures that are not pairs of square pictures.

    Parameters
    ----------
    truth : ndarray of uint8, shape (n, size, size, 3)
        RGB.
    painted : ndarray of uint8, shape (n, other size, other size, 3)
        RGB; picture i is of the same stimulus as true picture i.

    Raises
    ------
    DatasetError
        The type or a shape is another, or the numbers differ.
    """
    for name, pictures in (("true", truth), ("painted", painted)):
        shape = pictures.shape
        if pictures.dtype != np.uint8 or len(shape) != 4 or not shape[0] or shape[1] != shape[2] or shape[3] != 3:
            raise DatasetError(
                f"{name} pictures of type {pictures.dtype} and shape {shape}", "uint8, (n, size, size, 3), n from 1"
            )
    if len(truth) != len(painted):
        raise DatasetError(f"{len(painted)} painted and {len(truth)} true pictures", "one painted for each true one")


def resize(pictures: NDArray[np.uint8], size: int) -> torch.Tensor:
    """Return pictures at another size, bilinear, smoothed where they shrink.

    Parameters
    ----------
    pictures : ndarray of uint8, shape (n, height, width, 3)
    size : int
        Pixels along each side.

    Returns
    -------
    Tensor of float32, shape (n, 3, size, size)
        Values from 0 to 1.
    """
    values = torch.from_numpy(pictures.copy()).permute(0, 3, 1, 2).float() / 255
    return nn.functional.interpolate(values, (size, size), mode="bilinear", align_corners=False, antialias=True)


def pixel_correlation(truth: NDArray[np.uint8], painted: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the correlation of the pixels of each painted picture with those of its true one (PixCorr), at 425 pixels.

    Parameters
    ----------
    truth, painted
        As `check_pictures` takes them.

    Returns
    -------
    ndarray of float64, shape (n,)
        -1 to 1; higher is better.

    Raises
    ------
    DatasetError
        The pictures are not pairs.
    """
    check_pictures(truth, painted)
    parts = []
    for start in range(0, len(truth), BATCH):
        rows = slice(start, start + BATCH)
        parts.append(_paired_correlations(*(resize(each[rows], SIZE).flatten(1).numpy() for each in (truth, painted))))
    return np.concatenate(parts)


def ssim(truth: NDArray[np.uint8], painted: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return the structural similarity of each painted picture to its true one, grey, at 425 pixels.

    Gaussian weights with a sigma of 1.5 pixels; windows that reach over the edge are left out (Wang et al. 2004,
    https://doi.org/10.1109/TIP.2003.819861).

    Parameters
    ----------
    truth, painted
        As `check_pictures` takes them.

    Returns
    -------
    ndarray of float64, shape (n,)
        -1 to 1; higher is better.

    Raises
    ------
    DatasetError
        The pictures are not pairs.
    """
    from scipy.ndimage import gaussian_filter

    check_pictures(truth, painted)
    values = np.empty(len(truth))
    inner = (slice(None), slice(RADIUS, -RADIUS), slice(RADIUS, -RADIUS))
    for i in range(len(truth)):
        x, y = (np.tensordot(GREY, resize(each[i : i + 1], SIZE)[0].double().numpy(), 1) for each in (truth, painted))
        maps = gaussian_filter(np.stack([x, y, x * x, y * y, x * y]), SIGMA, radius=RADIUS, axes=(1, 2))
        mean_x, mean_y, xx, yy, xy = maps[inner]
        luminance = (2 * mean_x * mean_y + C1) / (mean_x**2 + mean_y**2 + C1)
        structure = (2 * (xy - mean_x * mean_y) + C2) / (xx - mean_x**2 + yy - mean_y**2 + C2)
        values[i] = (luminance * structure).mean()
    return values


def two_way(truth: NDArray[Any], painted: NDArray[Any]) -> NDArray[np.float64]:
    """Return how often each painted picture is identified out of two true ones.

    The share of the other n - 1 true pictures whose features correlate less with those of the painted picture than
    the features of its own true picture do. A tie counts half; no picture is compared with itself. Chance is one half.

    Parameters
    ----------
    truth, painted : ndarray, shape (n, n_features)
        Of the true and of the painted pictures, in the same order; n from 2.

    Returns
    -------
    ndarray of float64, shape (n,)
        0 to 1; higher is better.

    Raises
    ------
    DatasetError
        The features are not pairs, or not finite, or there is but one.
    """
    _check_features(truth, painted)
    correlations = _correlations(painted, truth)
    margins = np.diag(correlations)[:, None] - correlations
    wins = np.where(np.abs(margins) <= EQUAL, 0.5, margins > 0)
    np.fill_diagonal(wins, 0)
    rates: NDArray[np.float64] = wins.sum(axis=1) / (len(wins) - 1)
    return rates


def correlation_distance(truth: NDArray[Any], painted: NDArray[Any]) -> NDArray[np.float64]:
    """Return 1 - the correlation of the features of each painted picture with those of its true one.

    Parameters
    ----------
    truth, painted : ndarray, shape (n, n_features)
        Of the true and of the painted pictures, in the same order.

    Returns
    -------
    ndarray of float64, shape (n,)
        0 to 2; lower is better.

    Raises
    ------
    DatasetError
        The features are not pairs, or not finite.
    """
    _check_features(truth, painted, at_least=1)
    return 1 - _paired_correlations(truth, painted)


def frechet_distance(truth: NDArray[Any], painted: NDArray[Any]) -> float:
    """Return the squared Fréchet distance of two sets of features, each taken as a Gaussian cloud.

    With the features of the Inception network that it is defined by, it is the FID (Heusel et al. 2017,
    https://arxiv.org/abs/1706.08500). Its estimate falls with the number of pictures: a few hundred, fewer than there
    are features, serve to compare conditions of one run, not to compare with published figures.

    Parameters
    ----------
    truth : ndarray, shape (n, n_features)
    painted : ndarray, shape (m, n_features)
        n and m from 2; nothing is paired.

    Returns
    -------
    float
        0 or more; lower is better.

    Raises
    ------
    DatasetError
        The features are not of one network, or not finite, or too few.
    """
    _check_features(truth, painted, is_paired=False)
    clouds: list[NDArray[np.float64]] = []
    for features in (truth, painted):
        centred = features - features.mean(axis=0, dtype=np.float64)
        root = centred / np.sqrt(len(features) - 1)  # root.T @ root is the covariance
        if len(root) > root.shape[1]:
            root = cast(NDArray[np.float64], np.linalg.qr(root, mode="r"))  # of fewer rows, the same covariance
        clouds.append(root)
    difference = truth.mean(axis=0, dtype=np.float64) - painted.mean(axis=0, dtype=np.float64)
    # The trace of the root of the product of the two covariances is the sum of these singular values: exact, and no
    # root of a matrix of too low a rank has to be found.
    overlap = np.linalg.svd(clouds[0] @ clouds[1].T, compute_uv=False).sum()
    return float(max(difference @ difference + sum((cloud**2).sum() for cloud in clouds) - 2 * overlap, 0.0))


def _check_features(truth: NDArray[Any], painted: NDArray[Any], *, at_least: int = 2, is_paired: bool = True) -> None:
    """Refuse features that cannot be compared."""
    shapes = f"features of shapes {truth.shape} and {painted.shape}"
    if truth.ndim != 2 or painted.ndim != 2 or truth.shape[1] != painted.shape[1] or not truth.shape[1]:
        raise DatasetError(shapes, "(n, n_features), of one network")
    if min(len(truth), len(painted)) < at_least or (is_paired and len(truth) != len(painted)):
        raise DatasetError(shapes, f"at least {at_least}" + (", and one painted for each true one" * is_paired))
    if not (np.isfinite(truth).all() and np.isfinite(painted).all()):
        raise DatasetError("features that are not finite", "finite numbers")


def _paired_correlations(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Return the correlation of each row of `a` with the same row of `b`; 0 where one of them is constant."""
    x, y = (each - each.mean(axis=1, keepdims=True, dtype=np.float64) for each in (a, b))
    norms = _norms((x**2).sum(axis=1), a) * _norms((y**2).sum(axis=1), b)
    correlations: NDArray[np.float64] = np.divide((x * y).sum(axis=1), norms, out=np.zeros(len(x)), where=norms > 0)
    return correlations


def _correlations(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.float64]:
    """Return the correlation of each row of `a` with each row of `b`, a block of columns at a time: they are many."""
    mean_a, mean_b = (each.mean(axis=1, keepdims=True, dtype=np.float64) for each in (a, b))
    products, squares_a, squares_b = np.zeros((len(a), len(b))), np.zeros(len(a)), np.zeros(len(b))
    for start in range(0, a.shape[1], COLUMNS):
        x = a[:, start : start + COLUMNS] - mean_a
        y = b[:, start : start + COLUMNS] - mean_b
        products += x @ y.T
        squares_a += (x**2).sum(axis=1)
        squares_b += (y**2).sum(axis=1)
    norms = np.outer(_norms(squares_a, a), _norms(squares_b, b))
    return np.divide(products, norms, out=np.zeros_like(products), where=norms > 0)


def _norms(squares: NDArray[np.float64], rows: NDArray[Any]) -> NDArray[np.float64]:
    """Return the roots of sums of squares about the mean, exactly 0 for constant rows, whose mean may be rounded."""
    return np.where(np.ptp(rows, axis=1) > 0, np.sqrt(squares), 0.0)
