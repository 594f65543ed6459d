"""Train in several processes as in one: shares of a batch -> all embeddings, summed gradients and statistics."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor, nn

from necomimi.errors import ConfigError

__all__ = ["Processes", "is_first_process", "joined", "own_device", "share_batch_norm"]

T = TypeVar("T")


def is_first_process() -> bool:
    """Return whether this process is the one that talks and writes, as its launcher says (torchrun sets RANK)."""
    return os.environ.get("RANK", "0") == "0"


def own_device(device: torch.device) -> torch.device:
    """Return the device of this process: with CUDA, each process of a machine has its own."""
    if device.type == "cuda" and "LOCAL_RANK" in os.environ:
        device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(device)
    return device


@dataclass(frozen=True)
class Processes:
    """The processes that train together.

    Parameters
    ----------
    rank : int
        Which of them this one is, from 0.
    size : int
        How many there are.
    """

    rank: int = 0
    size: int = 1

    def share(self, n: int) -> range:
        """Return which of `n` things are this process's."""
        return range(n * self.rank // self.size, n * (self.rank + 1) // self.size)

    def gather(self, own: Tensor, n: int) -> Tensor:
        """Return all `n` rows, of which `own` are this process's `share`; without gradients."""
        if self.size == 1:
            return own.detach()
        share = self.share(n)
        whole = own.new_zeros(n, *own.shape[1:])
        whole[share.start : share.stop] = own.detach()
        dist.all_reduce(whole)
        return whole

    def add_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its sum over the processes."""
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        if self.size == 1 or not gradients:
            return
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(flat)
        parts = flat.split([gradient.numel() for gradient in gradients])
        for gradient, part in zip(gradients, parts, strict=True):
            gradient.copy_(part.view_as(gradient))

    def once(self, work: Callable[[], T]) -> T:
        """Let the first process do some work, and return what it found, in every process."""
        if self.size == 1:
            return work()
        found: list[Any] = [work() if self.rank == 0 else None]
        dist.broadcast_object_list(found)
        return cast(T, found[0])

    def collect(self, value: T) -> list[T]:
        """Return the value of each process."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Join the processes that a launcher started (torchrun, accelerate launch); alone where there is none.

    Those that have joined before stay together: that is for whoever joined them first to end.

    Raises
    ------
    ConfigError
        The launcher's settings are incomplete.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Processes()
        return
    if dist.is_initialized():
        yield Processes(dist.get_rank(), dist.get_world_size())
        return
    try:
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (ValueError, RuntimeError) as error:
        raise ConfigError(
            f"WORLD_SIZE is {os.environ['WORLD_SIZE']}, and the processes do not find each other: {error}",
            "the variables that torchrun or accelerate launch set",
            "start with: torchrun --nproc-per-node 2 -m necomimi train encoder ...",
        ) from error
    try:
        yield Processes(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


class _Total(torch.autograd.Function):
    """The sum of a tensor over all processes, which gradients go through."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        total = own.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


_total: Callable[[Tensor], Tensor] = _Total.apply


class _SharedBatchNorm(nn.BatchNorm2d):
    """Batch normalisation by the statistics of the whole batch, of which each process holds a part.

    As `torch.nn.SyncBatchNorm`, which runs on GPUs only; for inputs (B, C, ...) of any number of dimensions.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        pass

    def forward(self, input: Tensor) -> Tensor:
        """Normalise; in training over all processes."""
        if not self.training:
            return super().forward(input)
        x = input.float()
        dims = [d for d in range(x.ndim) if d != 1]
        shape = [1, -1] + [1] * (x.ndim - 2)
        sums = torch.cat([x.sum(dims), x.new_full((1,), x.numel() / x.shape[1])])
        sums = _total(sums)
        n, mean = sums[-1], sums[:-1] / sums[-1]
        x = x - mean.view(shape)
        variance = _total(x.square().sum(dims)) / n
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            with torch.no_grad():
                self.num_batches_tracked += 1
                weight = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
                self.running_mean.lerp_(mean, weight)
                self.running_var.lerp_(variance * n / (n - 1), weight)
        x = x * (variance + self.eps).rsqrt().view(shape)
        if self.weight is not None:
            x = x * self.weight.view(shape) + self.bias.view(shape)
        return x.to(input.dtype)


def share_batch_norm(module: nn.Module) -> None:
    """Let every batch normalisation in a module use the whole batch, in place; its parameters stay the same."""
    for parent in list(module.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                shared = _SharedBatchNorm(
                    child.num_features, child.eps, child.momentum, child.affine, child.track_running_stats
                )
                shared._parameters, shared._buffers = child._parameters, child._buffers
                setattr(parent, name, shared)
