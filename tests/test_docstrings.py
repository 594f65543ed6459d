"""What a docstring says of parameters is true: they are those of the signature, and arrays have their shapes."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from typing import Any

import pytest
from numpydoc.docscrape import get_doc_object
from numpydoc.validate import Validator

from .test_architecture import MODULES as ALL_MODULES

MODULES = [name for name in ALL_MODULES if not name.endswith("__main__")]
ARRAY = re.compile(r"\b(ndarray|NDArray|Tensor)\b")
SHAPE = re.compile(r"shape \(|any shape")


def documented(module: str) -> Iterator[tuple[str, Any]]:
    """Yield the functions and classes that a module declares, and the public methods of these."""
    names = importlib.import_module(module)
    for name in getattr(names, "__all__", ()):
        found = getattr(names, name)
        if not (inspect.isclass(found) or inspect.isroutine(found)) or found.__module__ != names.__name__:
            continue
        yield name, found
        for key, value in vars(found).items() if inspect.isclass(found) else ():
            method = getattr(value, "__func__", value)  # of a class method or static method
            if inspect.isfunction(method) and not key.startswith("_"):
                yield f"{name}.{key}", method


def described(found: Any) -> dict[str, str]:
    """Return what a docstring says of each parameter."""
    return {name: f"{kind} {' '.join(text)}" for name, (kind, text) in read(found).doc_parameters.items()}


def read(found: Any) -> Validator:
    return Validator(get_doc_object(found))


def wrong_parameters(found: Any) -> str:
    """Return how the documented parameters differ from the real ones, whose order they must have too."""
    said = [name.lstrip("*") for name in described(found)]
    if not said:
        return ""
    bases = found.__mro__[1:-1] if inspect.isclass(found) else ()
    elsewhere = {name for base in bases for name in described(base)} - set(said)
    real = [name for name in inspect.signature(found).parameters if not name.startswith("_") and name not in elsewhere]
    real = [name for name in real if name != "self" and (name != "cls" or "cls" in said)]
    return f"documented: {', '.join(said)}; real: {', '.join(real)}" if said != real else ""


def without_shape(found: Any) -> list[str]:
    """Return the documented arrays, parameters and returned ones, whose shape is not said."""
    doc = read(found)
    parameters = inspect.signature(found).parameters if doc.doc_parameters else {}
    annotations = {name: str(one.annotation) for name, one in parameters.items()}
    entries = [(name, kind, text, annotations.get(name, "")) for name, (kind, text) in doc.doc_parameters.items()]
    entries += [(one.name or "what is returned", one.type, one.desc, "") for one in (*doc.returns, *doc.yields)]
    return [
        name
        for name, kind, text, annotation in entries
        if kind  # without a type, the words say where it is described
        and ARRAY.search(f"{kind} {annotation}")
        and "Callable" not in annotation
        and not SHAPE.search(" ".join((kind, *text)))
    ]


@pytest.mark.parametrize("module", MODULES)
def test_documented_parameters_are_those_of_the_signature(module: str) -> None:
    wrong = {name: wrong_parameters(found) for name, found in documented(module)}
    assert {name: how for name, how in wrong.items() if how} == {}


@pytest.mark.parametrize("module", [name for name in MODULES if name.count(".") < 2 or ".encoders" in name])
def test_documented_arrays_have_their_shapes(module: str) -> None:
    lacking = {name: without_shape(found) for name, found in documented(module)}
    assert {name: which for name, which in lacking.items() if which} == {}


def test_a_stale_parameter_and_an_array_without_shape_are_found() -> None:
    def resample(data: np.ndarray, sfreq: float) -> np.ndarray:  # noqa: F821
        """Return the signal at another rate.

        Parameters
        ----------
        data : ndarray
            Volts.
        rate : float
            Hz.

        Returns
        -------
        ndarray
        """
        return data

    assert wrong_parameters(resample) == "documented: data, rate; real: data, sfreq"
    assert without_shape(resample) == ["data", "what is returned"]
