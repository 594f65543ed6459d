"""Two processes that share a batch find the loss and the gradients that one finds."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from necomimi.errors import ConfigError
from necomimi.offline.distributed import Processes, joined, share_batch_norm

SCRIPT = Path(__file__).with_name("ranks.py")


Found = dict[str, dict[str, dict[str, torch.Tensor]]]  # by encoder: "step" and "training"


def train(folder: Path, size: int) -> list[Found]:
    """Run as many processes as torchrun would start; return what each of them found."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    files = [folder / f"{rank}-of-{size}.pt" for rank in range(size)]
    running = []
    for rank, file in enumerate(files):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        environment = os.environ | {name: str(value) for name, value in place.items()}
        running.append(
            subprocess.Popen(
                [sys.executable, str(SCRIPT), str(file)], env=environment, stderr=subprocess.PIPE, text=True
            )
        )
    try:
        for process in running:
            errors = process.communicate(timeout=100)[1]
            assert process.returncode == 0, errors
    finally:
        for process in running:
            process.kill()
    return [torch.load(file, weights_only=True) for file in files]


@pytest.fixture(scope="module")
def found_by_one_and_by_two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Found, list[Found]]:
    folder = tmp_path_factory.mktemp("ranks")
    return train(folder, 1)[0], train(folder, 2)


@pytest.mark.parametrize("encoder", ["multiblur", "nice"])
def test_two_processes_learn_as_one(found_by_one_and_by_two: tuple[Found, list[Found]], encoder: str) -> None:
    alone, pair = found_by_one_and_by_two[0][encoder], [one[encoder] for one in found_by_one_and_by_two[1]]
    wanted = alone["step"]
    assert {"encoder.logit_scale", "adapter.level_weights", "encoder.subject_wise_linear.1.weight"} <= set(wanted)
    for found in (one["step"] for one in pair):
        assert found.keys() == wanted.keys()
        for name, expected in wanted.items():
            torch.testing.assert_close(found[name], expected, rtol=1e-4, atol=1e-5, msg=lambda m, n=name: f"{n}: {m}")
    first, second = (one["training"] for one in pair)
    assert first.keys() == second.keys() == alone["training"].keys()
    for name in first:  # both processes return the same
        torch.testing.assert_close(first[name], second[name], rtol=0, atol=0)
    if encoder == "multiblur":  # nice drops out units, others in each process
        torch.testing.assert_close(first["losses"], alone["training"]["losses"], rtol=1e-3, atol=0)


def test_shares_cover_everything_once() -> None:
    for n in (2, 7, 64):
        shares = [Processes(rank, 3).share(n) for rank in range(3)]
        assert [i for share in shares for i in share] == list(range(n))
        assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_shared_batch_norm_keeps_weights_names_and_what_it_does_outside_training() -> None:
    torch.manual_seed(0)
    module = torch.nn.Sequential(torch.nn.Sequential(torch.nn.BatchNorm2d(3)), torch.nn.BatchNorm1d(3, affine=False))
    data = torch.randn(4, 3, 2, 5)
    module[0](data)  # statistics that are not those of the start
    before, expected = module.state_dict(), module[0].eval()(data)
    share_batch_norm(module)
    assert list(module.state_dict()) == list(before)
    assert torch.equal(module.eval()[0](data), expected)


def test_an_incomplete_launch_is_refused_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ConfigError, match="torchrun"), joined(torch.device("cpu")):
        pass
