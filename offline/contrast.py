"""Contrast a whole batch that is encoded in parts: parts, loss of all embeddings -> exact gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from .distributed import Processes

__all__ = ["backward_whole", "random_state", "set_random_state"]


def backward_whole(
    encoder: nn.Module,
    encode: Callable[[range], Tensor],
    loss: Callable[[Tensor], Tensor],
    n: int,
    micro_batch: int | None,
    processes: Processes,
) -> Tensor:
    """Add up the gradients of a loss that compares every epoch of a batch with every other.

    The embeddings of all parts are found first, then the loss and its gradient with respect to each of them; last each
    part is encoded once more, with the same random numbers, to send its share of that gradient back. The result is that
    of the whole batch at once, but for batch normalisation, whose statistics are those of each part (over all
    processes). A batch in one part is encoded only once.

    Parameters
    ----------
    encoder : Module
        In training mode; its buffers change once.
    encode : callable
        Places in the batch -> their embeddings, shape (n_places, n_dims); different after each call only by random
        numbers.
    loss : callable
        Embeddings of the whole batch, shape (n, n_dims) -> scalar; may have parameters of its own.
    n : int
        Size of the batch.
    micro_batch : int, optional
        Most epochs encoded at once.
    processes : Processes
        Each encodes its share of the batch. Their gradients still have to be added.

    Returns
    -------
    Tensor, scalar
        The loss.

    References
    ----------
    Gao et al. (2021), Scaling deep contrastive learning batch size under memory limited setup.
    """
    share = processes.share(n)
    parts = _parts(share, -(-n // processes.size), micro_batch)
    device = next(encoder.parameters()).device
    first_states = []
    if len(parts) == 1:
        found = [encode(parts[0])]
    else:
        found = []
        buffers = [buffer.clone() for buffer in encoder.buffers()]
        with torch.no_grad():
            for part in parts:
                first_states.append(random_state(device))
                found.append(encode(part))
            for buffer, before in zip(encoder.buffers(), buffers, strict=True):
                buffer.copy_(before)
    whole = processes.gather(torch.cat(found), n).requires_grad_()
    value = loss(whole)
    (value / processes.size).backward()  # every process finds the gradients of the loss's own parameters
    assert whole.grad is not None
    gradients = (processes.size * whole.grad[share.start : share.stop]).split([len(part) for part in parts])
    if len(parts) == 1:
        found[0].backward(gradients[0])
        return value.detach()
    after = random_state(device)
    for part, state, gradient in zip(parts, first_states, gradients, strict=True):
        set_random_state(state, device)
        encode(part).backward(gradient)
    set_random_state(after, device)
    return value.detach()


def random_state(device: torch.device) -> list[Tensor]:
    """Return the states of the random number generators that a computation on `device` may use."""
    state = [torch.get_rng_state()]
    return [*state, torch.cuda.get_rng_state(device)] if device.type == "cuda" else state


def set_random_state(state: Sequence[Tensor], device: torch.device) -> None:
    """Undo what was drawn since `random_state`."""
    torch.set_rng_state(state[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[1], device)


def _parts(share: range, longest: int, micro_batch: int | None) -> list[range]:
    """Cut a share into as many parts as the longest share needs, so that all processes have the same number."""
    count = -(-longest // micro_batch) if micro_batch else 1
    edges = [share.start + len(share) * i // count for i in range(count + 1)]
    return [range(begin, end) for begin, end in pairwise(edges)]
