"""What all encoders are: epochs, and whose they are -> embeddings, with a layer along time for each person.

People differ in when their brain answers. An encoder for several people therefore has one linear layer along time for
each of them, before everything that they share; for a person it has not seen it takes the mean of those layers.
"""

from __future__ import annotations

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from necomimi.errors import ConfigError

__all__ = ["Encoder", "SubjectLayers"]


class SubjectLayers(nn.ModuleList):
    """A linear layer along time for each person: (B, n_chans, n_times) -> the same.

    Several layers start as the identity: what the encoder learns of one person then serves the others, and the mean of
    the layers means something. A single one starts as `nn.Linear` does, as published (Li et al. 2024).

    Parameters
    ----------
    n_times : int
        Samples in an epoch.
    n_subjects : int
        People.
    """

    def __init__(self, n_times: int, n_subjects: int) -> None:
        super().__init__(nn.Linear(n_times, n_times) for _ in range(n_subjects))
        if n_subjects > 1:
            for layer in self:
                nn.init.eye_(cast(nn.Linear, layer).weight)
                nn.init.zeros_(cast(nn.Linear, layer).bias)

    def forward(self, x: Tensor, subjects: Tensor | int | None = None) -> Tensor:
        """Apply to each epoch the layer of its person.

        Parameters
        ----------
        x : Tensor, shape (B, n_chans, n_times)
        subjects : Tensor of int, shape (B,), or int, optional
            The person of each epoch, or of all; None for somebody else, who gets the mean of the layers.
        """
        if len(self) == 1:
            subjects = 0
        if isinstance(subjects, int):
            out: Tensor = self[subjects](x)
            return out
        if subjects is None:
            layers = [cast(nn.Linear, layer) for layer in self]
            weight = torch.stack([layer.weight for layer in layers]).mean(dim=0)
            return F.linear(x, weight, torch.stack([layer.bias for layer in layers]).mean(dim=0))
        rows = [(subjects == i).nonzero().squeeze(1) for i in range(len(self))]
        parts = [layer(x.index_select(0, own)) for layer, own in zip(self, rows, strict=True)]
        return torch.cat(parts).index_select(0, torch.cat(rows).argsort())


class Encoder(nn.Module):
    """Base of all encoders: (B, n_chans, n_times) -> (B, n_outputs), and the temperature they are trained with.

    Parameters
    ----------
    n_chans, n_times, n_outputs : int
        Channels and samples of an epoch, dimensions of the embedding.
    n_subjects : int
        People it learns from; with more than one it owns a layer along time for each of them.

    Attributes
    ----------
    logit_scale : Parameter, scalar
        Logarithm of the factor on similarities in the training loss; starts at ln(1 / 0.07).
    subject : int or None
        The person whose layer is used where `forward` is not told; None for a person it was not trained on.
    """

    def __init__(self, n_chans: int, n_times: int, n_outputs: int, n_subjects: int = 1) -> None:
        super().__init__()
        sizes = {"n_chans": n_chans, "n_times": n_times, "n_outputs": n_outputs, "n_subjects": n_subjects}
        for name, value in sizes.items():
            if value < 1:
                raise ConfigError(f"{name} is {value}", "at least 1")
        self.n_chans, self.n_times, self.n_outputs, self.n_subjects = n_chans, n_times, n_outputs, n_subjects
        self.subject: int | None = None
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        self.subject_wise_linear = SubjectLayers(n_times, n_subjects) if n_subjects > 1 else None

    @property
    def output_bias(self) -> nn.Parameter:
        """The bias that is added last, shape (n_outputs,): where embeddings start from before training."""
        raise NotImplementedError

    def forward(self, x: Tensor, subjects: Tensor | None = None) -> Tensor:
        """Encode (B, n_chans, n_times) to (B, n_outputs).

        Parameters
        ----------
        x : Tensor, shape (B, n_chans, n_times)
            Preprocessed epochs.
        subjects : Tensor of int, shape (B,), optional
            The person of each epoch, from 0; `subject` for all of them where absent.
        """
        return self.encode(self.personal(self.before(x), subjects))

    def before(self, x: Tensor) -> Tensor:
        """Do what comes before the layers of the people: (B, n_chans, n_times) -> the same; mostly nothing."""
        return x

    def personal(self, x: Tensor, subjects: Tensor | None) -> Tensor:
        """Apply the layer of each epoch's person, where there are such layers: (B, n_chans, n_times) -> the same."""
        if self.subject_wise_linear is None:
            return x
        out: Tensor = self.subject_wise_linear(x, self.subject if subjects is None else subjects)
        return out

    def encode(self, x: Tensor) -> Tensor:
        """Encode (B, n_chans, n_times) to (B, n_outputs) with what all people share."""
        raise NotImplementedError
