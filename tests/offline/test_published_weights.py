"""The published encoders rebuilt in plain layers, saved under the published names, load and compute the same."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from necomimi.encoders import Encoder, names
from necomimi.errors import CheckpointError, ConfigError
from necomimi.offline.published_weights import PUBLISHED, published_encoder, published_scale, read_state_dict

PARAMETERS = {  # of the published files: those with attention over time hold a second, unused copy of the layer
    "nice": 2_630_913,
    "muse": 2_571_633,
    "atms": 3_246_741,
    "nervformer": 11_542_801,
    "nerv": 12_158_629,
}


def temporal_first(n_chans: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 40, (1, 25)),
        nn.AvgPool2d((1, 51), (1, 5)),
        nn.BatchNorm2d(40),
        nn.ELU(),
        nn.Conv2d(40, 40, (n_chans, 1)),
        nn.BatchNorm2d(40),
        nn.ELU(),
        nn.Dropout(0.5),
    )


def spatial_first(n_chans: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, 40, (n_chans, 1)),
        nn.BatchNorm2d(40),
        nn.ELU(),
        nn.Conv2d(40, 40, (1, 25)),
        nn.AvgPool2d((1, 51), (1, 5)),
        nn.BatchNorm2d(40),
        nn.ELU(),
        nn.Dropout(0.5),
    )


def tokens(x: Tensor) -> Tensor:
    """Return (B, 40, 1, n) as (B, n, 40)."""
    return x[:, :, 0].permute(0, 2, 1)


class Patches(nn.Module):
    def __init__(self, n_chans: int, block: str) -> None:
        super().__init__()
        if block == "tsconv":
            self.tsconv = temporal_first(n_chans)
        else:
            self.stconv = spatial_first(n_chans)
        self.projection = nn.Sequential(nn.Conv2d(40, 40, (1, 1)))
        self.block = block

    def forward(self, x: Tensor) -> Tensor:
        return tokens(self.projection(getattr(self, self.block)(x[:, None]))).reshape(len(x), -1)


class Dual(nn.Module):
    def __init__(self, n_chans: int, n_tokens: int) -> None:
        super().__init__()
        self.tsconv = temporal_first(n_chans)
        self.stconv = spatial_first(n_chans)
        self.self_attn_ts = nn.MultiheadAttention(40, 5, batch_first=True)
        self.self_attn_st = nn.MultiheadAttention(40, 5, batch_first=True)
        self.cross_attn = nn.MultiheadAttention(40, 8, dropout=0.75, batch_first=True)
        self.norm1, self.norm2, self.norm3 = nn.LayerNorm(40), nn.LayerNorm(40), nn.LayerNorm(40)
        self.feed_forward = nn.Sequential(
            nn.Flatten(),
            nn.Linear(2 * n_tokens * 40, 2048),
            nn.ReLU(),
            nn.Dropout(0.5),
            nn.Linear(2048, n_tokens * 40),
        )

    def forward(self, x: Tensor) -> Tensor:
        mean = x.mean(dim=(1, 2), keepdim=True)
        variance = x.var(dim=(1, 2), keepdim=True, unbiased=False)
        x = ((x - mean) / torch.sqrt(variance + 1e-5))[:, None]
        ts, st = tokens(self.tsconv(x)), tokens(self.stconv(x))
        ts = self.norm1(ts + self.self_attn_ts(ts, ts, ts)[0])
        st = self.norm2(st + self.self_attn_st(st, st, st)[0])
        both = torch.cat((ts, st), dim=1)
        return self.feed_forward(self.norm3(both + self.cross_attn(both, both, both)[0]))


class PositionTable(nn.Module):
    def __init__(self, n_dims: int, n_positions: int) -> None:
        super().__init__()
        time = torch.arange(n_positions).float()[:, None]
        div = torch.exp(torch.arange(0, n_dims + 1, 2).float() * -math.log(10000.0) / n_dims)
        pe = torch.zeros(n_positions, n_dims)
        pe[:, 0::2] = torch.sin(time * div[: n_dims // 2 + 1])[:, : pe[:, 0::2].shape[1]]
        pe[:, 1::2] = torch.cos(time * div[: n_dims // 2])
        self.register_buffer("pe", pe)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.pe[: len(x), None]


class OverTime(nn.Module):
    def __init__(self, n_chans: int) -> None:
        super().__init__()
        self.pos_encoder = PositionTable(n_chans, 5000)
        self.encoder_layer = nn.TransformerEncoderLayer(d_model=n_chans, nhead=1, dim_feedforward=2048, dropout=0.1)
        self.transformer_encoder = nn.TransformerEncoder(self.encoder_layer, 1, enable_nested_tensor=False)  # a copy

    def forward(self, x: Tensor) -> Tensor:
        return self.transformer_encoder(self.pos_encoder(x.permute(2, 0, 1))).permute(1, 2, 0)


class Residual(nn.Module):
    def __init__(self, fn: nn.Module) -> None:
        super().__init__()
        self.fn = fn

    def forward(self, x: Tensor) -> Tensor:
        return self.fn(x) + x


class Published(nn.Module):
    """One of the published encoders, with random weights and running statistics, in evaluation mode."""

    def __init__(self, name: str, n_chans: int = 63, n_times: int = 250, n_outputs: int = 1024) -> None:
        super().__init__()
        torch.manual_seed(0)
        n_tokens = (n_times - 24 - 51) // 5 + 1
        if name in ("atms", "nerv"):
            self.attention_model = OverTime(n_chans)
            self.subject_wise_linear = nn.ModuleList([nn.Linear(n_times, n_times)])
        if name in ("nerv", "nervformer"):
            self.enc_eeg: nn.Module = Dual(n_chans, n_tokens)
        elif name == "muse":
            self.enc_eeg = Patches(n_chans, "stconv")
        else:
            self.enc_eeg = nn.Sequential(Patches(n_chans, "tsconv"))
        self.proj_eeg = nn.Sequential(
            nn.Linear(40 * n_tokens, n_outputs),
            Residual(nn.Sequential(nn.GELU(), nn.Linear(n_outputs, n_outputs), nn.Dropout(0.5))),
            nn.LayerNorm(n_outputs),
        )
        self.logit_scale = nn.Parameter(torch.tensor(3.1))
        with torch.no_grad():  # every tensor matters: none is left at the zero or one that it is made with
            for key, tensor in self.state_dict().items():
                if key.endswith(("running_mean", "bias")):
                    tensor += 0.1 * torch.randn_like(tensor)
                elif key.endswith("running_var") or (key.endswith("weight") and tensor.ndim == 1):
                    tensor *= 0.5 + torch.rand_like(tensor)
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        if hasattr(self, "attention_model"):
            x = self.subject_wise_linear[0](self.attention_model(x))
        return self.proj_eeg(self.enc_eeg(x))


SMALL = {"n_chans": 8, "n_times": 120}
FILE = Path("weights.pth")


def small(name: str, n_chans: int = 8) -> dict[str, Tensor]:
    return Published(name, n_chans, 120, 32).state_dict()


def load(state: dict[str, Tensor], name: str) -> Encoder:
    return published_encoder(state, name, **SMALL, source=FILE)


def epochs(n: int, n_chans: int = 8, n_times: int = 120) -> Tensor:
    return torch.randn(n, n_chans, n_times, generator=torch.Generator().manual_seed(1))


def test_every_published_encoder_is_rebuilt() -> None:
    assert set(PUBLISHED) == set(PARAMETERS) == set(names()) - {"multiblur"}


@pytest.mark.parametrize("name", PUBLISHED)
def test_full_size_weights_give_the_same_embeddings(name: str, tmp_path: Path) -> None:
    published = Published(name)
    assert sum(p.numel() for p in published.parameters()) == PARAMETERS[name]
    torch.save(published.state_dict(), tmp_path / "weights.pth")
    encoder = published_encoder(
        read_state_dict(tmp_path / "weights.pth"), name, n_chans=63, n_times=250, source=tmp_path / "weights.pth"
    )
    dead = 276_539 if hasattr(published, "attention_model") else 0
    assert sum(p.numel() for p in encoder.parameters()) == PARAMETERS[name] - dead
    x = epochs(4, 63, 250)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), published(x), rtol=0, atol=1e-5)
    assert encoder.logit_scale.item() == published.logit_scale.item()


@pytest.mark.parametrize("n_chans", [7, 8])  # an even number of channels cuts the position code
@pytest.mark.parametrize("name", PUBLISHED)
def test_other_sizes_give_the_same_embeddings(name: str, n_chans: int) -> None:
    published, x = Published(name, n_chans, 120, 32), epochs(5, n_chans)
    encoder = published_encoder(published.state_dict(), name, n_chans=n_chans, n_times=120, source=FILE)
    with torch.no_grad():
        torch.testing.assert_close(encoder(x), published(x), rtol=0, atol=1e-5)


def prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {prefix + key: tensor for key, tensor in state.items()}


FORMS: dict[str, Callable[[dict[str, Tensor], Path], object]] = {
    "bare": torch.save,
    "before PyTorch 1.6": lambda state, path: torch.save(state, path, _use_new_zipfile_serialization=False),
    "safetensors": lambda state, path: save_file({k: t.contiguous().clone() for k, t in state.items()}, path),
    "data parallel": lambda state, path: torch.save(prefixed(state, "module."), path),
    "compiled, parallel": lambda state, path: torch.save(prefixed(state, "_orig_mod.module."), path),
    "checkpoint": lambda state, path: torch.save({"epoch": 3, "model_state_dict": prefixed(state, "module.")}, path),
    "parameters": lambda state, path: torch.save({k: nn.Parameter(t, False) for k, t in state.items()}, path),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_usual_form_of_file_is_read(form: str, tmp_path: Path) -> None:
    state = small("atms")
    FORMS[form](state, tmp_path / "weights")
    found = read_state_dict(tmp_path / "weights")
    assert set(found) == set(state)
    for key, tensor in state.items():
        assert torch.equal(found[key], tensor), key
    load(found, "atms")


@pytest.mark.parametrize("shape", [(120, 8), (5000, 8), (5000, 1, 8), (1, 120, 8)])
def test_position_code_is_taken_in_any_shape_and_compared(shape: tuple[int, ...]) -> None:
    state, key = small("nerv"), "attention_model.pos_encoder.pe"
    state[key] = state[key][: max(shape)].reshape(shape)
    load(state, "nerv")
    state[key] = state[key] + 0.01
    with pytest.raises(CheckpointError, match="another position code"):
        load(state, "nerv")


@pytest.mark.parametrize("name", ["atms", "nerv"])
def test_what_the_forward_pass_never_uses_may_be_there_or_not(name: str) -> None:
    state, x = small(name), epochs(3)
    lean = {k: t for k, t in state.items() if not k.startswith(("attention_model.enc", "attention_model.pos"))}
    lean = {k: t for k, t in lean.items() if not k.endswith("num_batches_tracked")}
    assert len(lean) < len(state) - 12
    more = {
        **state,
        "subject_wise_linear.1.weight": torch.ones(120, 120),
        "subject_wise_linear.1.bias": torch.ones(120),
    }
    with torch.no_grad():
        expected = load(state, name)(x)
        for other in (lean, more):
            torch.testing.assert_close(load(other, name)(x), expected, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions_become_float32(dtype: torch.dtype) -> None:
    state = {k: t.to(dtype) if t.is_floating_point() else t for k, t in small("nice").items()}
    encoder = load(state, "nice")
    assert {p.dtype for p in encoder.parameters()} == {torch.float32}
    assert torch.equal(encoder.state_dict()["proj_eeg.0.weight"], state["proj_eeg.0.weight"].float())


def test_missing_logit_scale_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    state = small("nice")
    del state["logit_scale"]
    with caplog.at_level(logging.WARNING):
        assert load(state, "nice").logit_scale.item() == pytest.approx(math.log(1 / 0.07))
    assert "no logit_scale" in caplog.text


@pytest.mark.parametrize("name", PUBLISHED)
def test_scale_on_cosines_is_that_of_the_published_logits(name: str) -> None:
    published, x = Published(name, 8, 120, 256), epochs(64)
    with torch.no_grad():
        lengths = published(x).norm(dim=1) * published.logit_scale  # published logits are cosines times this
    assert published_scale(load(published.state_dict(), name)) == pytest.approx(lengths.mean().item(), rel=0.1)


def replace(key: str, change: Callable[[Tensor], Tensor]) -> Callable[[dict[str, Tensor]], object]:
    return lambda state: state.update({key: change(state[key])})


SPATIAL = "enc_eeg.0.tsconv.4.weight"
WRONG: list[tuple[str, Callable[[dict[str, Tensor]], object], list[str]]] = [
    ("nice", replace(SPATIAL, lambda t: t[:, :, :5]), [SPATIAL, "(40, 40, 5, 1)", "(40, 40, 8, 1)", "--epochs"]),
    ("nice", replace("proj_eeg.0.bias", lambda t: t[:7]), ["proj_eeg.0.bias", "(7,)", "(32,)", "32 outputs"]),
    ("nice", replace("logit_scale", lambda t: t[None]), ["logit_scale", "(1,)", "()"]),
    ("nice", replace("logit_scale", lambda t: -t), ["logit_scale is -3.1", "positive"]),
    ("nice", replace(SPATIAL, lambda t: t * math.inf), [SPATIAL, "not finite"]),
    ("nice", replace(SPATIAL, lambda t: t.double() + 1e300), [SPATIAL, "not finite"]),
    ("nice", replace(SPATIAL, lambda t: t.to(torch.int32)), [SPATIAL, "torch.int32", "dense torch.float32"]),
    ("nice", replace(SPATIAL, lambda t: t.to("meta")), [SPATIAL, "on meta"]),
    ("nice", replace(SPATIAL, lambda t: t.to_sparse()), [SPATIAL, "sparse"]),
    ("nice", replace("enc_eeg.0.tsconv.2.num_batches_tracked", lambda t: t.to(torch.complex64)), ["complex64"]),
    ("nice", lambda state: state.pop(SPATIAL), [f"lacks {SPATIAL}", "names of nice"]),
    ("nice", lambda state: state.update(extra=torch.ones(1)), ["holds extra", "names of nice"]),
    ("nice", lambda state: state.clear(), ["lacks", "and 17 more"]),
    (
        "nerv",
        replace("attention_model.pos_encoder.pe", lambda t: t[:100]),
        ["pos_encoder.pe", "(100, 8)", "(at least 120, 8)"],
    ),
    (
        "nerv",
        replace("attention_model.pos_encoder.pe", lambda t: torch.zeros(1, 8).expand(10**12, 8)),
        ["another position code"],
    ),
    (
        "nerv",
        replace("attention_model.encoder_layer.linear1.weight", lambda t: t.T),
        ["encoder_layer.linear1.weight", "(8, 2048)", "(2048, 8)"],
    ),
]


@pytest.mark.parametrize(("name", "change", "words"), WRONG)
def test_wrong_tensors_are_refused_by_key(
    name: str, change: Callable[[dict[str, Tensor]], object], words: list[str]
) -> None:
    state = small(name)
    change(state)
    with pytest.raises(CheckpointError) as caught:
        load(state, name)
    assert "weights.pth" in str(caught.value)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("name", PUBLISHED)
@pytest.mark.parametrize("other", PUBLISHED)
def test_weights_of_another_encoder_are_named(name: str, other: str) -> None:
    if name != other:
        with pytest.raises(CheckpointError, match=f"names of {other}[\\s\\S]*try: --encoder {name}$"):
            load(small(name), other)


def test_unknown_encoder_and_absurd_outputs_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"'multiblur'[\s\S]*nice"):
        load(small("nice"), "multiblur")
    with pytest.raises(CheckpointError, match="8 outputs"):
        load(Published("nice", 8, 120, 8).state_dict(), "nice")  # our head would not normalise, theirs does
    huge = {f"proj_eeg.{layer}.bias": torch.zeros(1).expand(10**12) for layer in ("0", "1.fn.1", "2")}
    with pytest.raises(CheckpointError, match="1000000000000 outputs"):
        load(huge, "nice")
