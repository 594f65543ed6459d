"""The axes of simulated people tell pictures apart, and can be made again."""

from __future__ import annotations

import numpy as np

from necomimi.offline.fit_axes import fit_axes
from necomimi.pictures import concepts
from necomimi.simulated_cortex import N_SEMANTIC
from necomimi.simulated_person import load_axes


def test_axes_of_some_concepts_have_the_form_of_the_package_s() -> None:
    axes = fit_axes(concepts()[:6], n_exemplars=2)
    assert axes.axes.shape == load_axes().axes.shape
    assert np.isfinite(axes.deviation[:N_SEMANTIC]).sum() == 5  # six concepts differ along five directions
    assert np.isfinite(load_axes().deviation).all()
    again = fit_axes(concepts()[:6], n_exemplars=2)
    np.testing.assert_allclose(np.abs(np.sum(axes.axes * again.axes, axis=0))[:5], 1, atol=1e-4)
