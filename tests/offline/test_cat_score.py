"""CAT scores are the expectation that they are said to be: floors near chance, true pictures above, gaps counted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file

from necomimi.embedders import build_embedder
from necomimi.errors import ConfigError, DatasetError, NecomimiError
from necomimi.offline.cat_judges import Judge, PictureJudge, TextJudge, build_judge
from necomimi.offline.cat_score import cat_score, summarise
from necomimi.offline.cat_tags import Tags, find_tags
from necomimi.pictures import concepts, draw_picture

SPACE = "test/space"
TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16},
    "text_cfg": {"context_length": 24, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
TAGS = Tags(
    name="t",
    columns=("kind", "place"),
    of={
        "cat": ("animal", "home"),
        "dog": ("animal", "home"),
        "cow": ("animal", "farm"),
        "pie": ("food", "home"),
        "bun": ("food", "shop"),
        "car": ("thing", "street"),
        "bus": ("thing", "street"),
    },
)


def unit(vectors: NDArray[np.floating]) -> NDArray[np.float32]:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def random_vectors(n: int, seed: int = 0, n_dims: int = 6) -> NDArray[np.float32]:
    return unit(np.random.default_rng(seed).standard_normal((n, n_dims)))


class Table:
    """A judge that says what it was told: likeness of each picture to each tag of a column, in order of the tags."""

    name, space = "table", SPACE

    def __init__(self, *likeness: Sequence[Sequence[float]]) -> None:
        self.given = likeness

    def likeness(
        self, concepts: Sequence[str], embeddings: NDArray[np.float32], tags: Tags, column: int
    ) -> tuple[list[str], NDArray[np.float32]]:
        return sorted(set(tags.column(tags.of, column))), np.array(self.given[column], dtype=np.float32)


def score(names: Sequence[str], judge: Judge, vectors: NDArray[np.float32] | None = None, tags: Tags = TAGS) -> dict:
    return cat_score(names, random_vectors(len(names)) if vectors is None else vectors, tags, judge, space=SPACE)


def test_points_are_the_share_of_other_concepts_tags_that_are_less_alike() -> None:
    names = ["cat", "dog", "pie", "bun"]
    kinds = [[3, 2, 9], [1, 2, 9], [1, 1, 9], [2, 1, 9]]  # animal, food, thing: nobody shown is a thing
    places = [[0, 5, 7, 9], [0, 5, 5, 9], [0, 5, 7, 9], [0, 5, 1, 9]]  # farm, home, shop, street
    found = score(names, Table(kinds, places))
    assert found["columns"]["kind"]["share"] == pytest.approx((1 + 0 + 0.5 + 0) / 4)
    assert found["columns"]["place"]["share"] == pytest.approx((0 + 0.5 + 0 + 0) / 4)
    assert found["per_concept"] == {"cat": 0.5, "dog": 0.25, "pie": 0.25, "bun": 0.0}
    assert (found["points"], found["points_possible"], found["points_chance"]) == (2.0, 8, 4.0)
    assert (found["judge"], found["tags"], found["n_concepts"], found["n_not_judged"]) == ("table", "t", 4, 0)
    json.dumps(found)


def test_foils_weigh_as_many_concepts_as_bear_them() -> None:
    names = ["cat", "dog", "pie", "car"]
    kinds = [[2, 1, 3]] * 4  # animal (two concepts), food, thing
    found = cat_score(
        names,
        random_vectors(4),
        Tags(name="t", columns=("kind",), of={name: row[:1] for name, row in TAGS.of.items()}),
        Table(kinds),
        space=SPACE,
    )
    assert found["per_concept"] == pytest.approx({"cat": 1 / 2, "dog": 1 / 2, "pie": 0, "car": 1})
    assert found["share"] == 0.5  # pictures that all look the same win what they lose elsewhere


def naive(names: Sequence[str], vectors: NDArray, true_names: Sequence[str], truth: NDArray, column: int) -> list:
    """Judge by pictures as the docstrings say it, one picture and one other concept after the other."""
    means = {name: truth[[one == name for one in true_names]].mean(axis=0) for name in true_names}
    centre = np.mean(list(means.values()), axis=0)

    def alike(picture: NDArray, tag: str, without: str) -> float:
        bearers = [mean - centre for name, mean in means.items() if TAGS.of[name][column] == tag and name != without]
        if not bearers:
            return np.nan
        vector = np.mean(bearers, axis=0)
        return float((picture - centre) @ vector / np.linalg.norm(vector))

    shares = []
    for name, picture in zip(names, vectors, strict=True):
        own = TAGS.of[name][column]
        mine = alike(picture, own, name)
        others = [TAGS.of[other][column] for other in set(names) if TAGS.of[other][column] != own]
        theirs = [alike(picture, tag, name) for tag in others]
        won = [mine > other for other in theirs if np.isfinite(other)]
        shares.append(np.mean(won) if np.isfinite(mine) and won else np.nan)
    return shares


@pytest.mark.parametrize("others", [(), ("bus", "cow")])
def test_picture_judge_equals_its_description(others: tuple[str, ...]) -> None:
    names = ["cat", "dog", "pie", "bun", "car", "cow"]
    true_names = [name for name in (*names, *names, "bus") if name not in others]  # two pictures each, but one of a bus
    truth, vectors = random_vectors(len(true_names), 1), random_vectors(len(names), 2)
    found = score(names, PictureJudge(true_names, truth, SPACE), vectors)
    for i, column in enumerate(TAGS.columns):
        expected = np.array(naive(names, vectors, true_names, truth, i))
        told = found["columns"][column]
        assert told["share"] == pytest.approx(np.nanmean(expected))
        assert told["n_not_judged"] == np.isnan(expected).sum()
    assert found["points_possible"] == 12 - found["n_not_judged"]
    assert found["n_not_judged"] == {(): 2, ("bus", "cow"): 4}[others]  # without the bus, the car stands alone


def test_a_column_that_nobody_can_judge_is_told_apart() -> None:
    names = ["pie", "bun", "cow"]  # each in a place of its own
    found = score(names, PictureJudge(names, random_vectors(3), SPACE))
    assert found["columns"]["place"] == {"share": None, "interval": None, "n_judged": 0, "n_not_judged": 3}
    assert found["columns"]["kind"]["n_judged"] == 2
    assert set(found["per_concept"]) == {"pie", "bun"}
    with pytest.raises(DatasetError, match="no tag of 1 concepts can be judged"):
        score(["cow"], PictureJudge(names, random_vectors(3), SPACE))
    with pytest.raises(DatasetError, match="no tag of 7 concepts can be judged"):
        score(list(TAGS.of), PictureJudge(["horse"], random_vectors(1), SPACE))  # not in the table


def test_seeds_share_the_points_of_their_concept() -> None:
    names = list(TAGS.of)
    judge = PictureJudge(names, random_vectors(7), SPACE)
    first, second = random_vectors(7, 1), random_vectors(7, 2)
    alone = [score(names, judge, vectors)["per_concept"] for vectors in (first, second)]
    both = score(names * 2, judge, np.concatenate([first, second]))
    assert both["n_pictures"] == 14
    assert both["points_possible"] == score(names, judge, first)["points_possible"]
    assert both["per_concept"] == pytest.approx({name: (alone[0][name] + alone[1][name]) / 2 for name in names})


def test_order_of_pictures_changes_nothing() -> None:
    names, vectors = list(TAGS.of), random_vectors(7, 1)
    judge = PictureJudge(names, random_vectors(7), SPACE)
    turned = score(names[::-1], judge, vectors[::-1])
    assert turned["per_concept"] == pytest.approx(score(names, judge, vectors)["per_concept"])
    assert turned["share_interval"] == pytest.approx(score(names, judge, vectors)["share_interval"])


def test_interval_draws_concepts_not_tags() -> None:
    names = [f"c{i}" for i in range(40)]
    hits = np.arange(40) < 20  # all five tags of a concept, or none
    tags = Tags(name="t", columns=tuple("abcde"), of={name: tuple("vwxyz") for name in names})
    found = summarise(names, np.repeat(hits[:, None], 5, axis=1).astype(float), tags, "j", 0.5)
    low, high = found["share_interval"]
    assert high - low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(40), rel=0.15)  # of 200 tags it would be under half
    assert found["points_interval"] == (low * 200, high * 200)


@pytest.mark.slow
def test_true_pictures_score_above_noise_and_floors_lie_at_chance() -> None:
    things = concepts()[::7]
    names = [thing.name for thing in things]
    embedder = build_embedder("embedded", "cpu")
    truth = embedder.embed([draw_picture(thing, 0) for thing in things])
    tags = find_tags(names)
    assert tags is not None
    judge = build_judge("pictures", space=embedder.space, concepts=names, embeddings=truth)

    def share(vectors: NDArray) -> float:
        return cat_score(names, unit(vectors), tags, judge, space=embedder.space)["share"]

    rng = np.random.default_rng(0)
    ceiling, noisy = share(truth), share(truth + 3 * random_vectors(len(names), n_dims=embedder.n_dims))
    assert 0.53 < noisy < ceiling - 0.03
    assert ceiling > 0.64
    assert share(np.repeat(truth.mean(axis=0, keepdims=True), len(names), axis=0)) == pytest.approx(0.5, abs=0.05)
    assert np.mean([share(rng.permutation(truth)) for _ in range(20)]) == pytest.approx(0.5, abs=0.02)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[torch.nn.Module, str]:
    """Return a random OpenCLIP model, and the name by which its weights are loaded from a file."""
    folder = tmp_path_factory.mktemp("open_clip")
    (folder / "tiny-test-texts.json").write_text(json.dumps(TINY))
    open_clip.add_model_config(folder)
    torch.manual_seed(0)
    model = open_clip.create_model("tiny-test-texts", pretrained=None)
    save_file(model.state_dict(), folder / "weights.safetensors")
    return model.eval(), f"open_clip:tiny-test-texts/{folder / 'weights.safetensors'}"


def test_text_judge_compares_with_prompts_as_open_clip_embeds_them(tiny: tuple[torch.nn.Module, str]) -> None:
    model, name = tiny
    nothing = np.empty((0, 24), dtype=np.float32)
    judge = build_judge(name, space="", concepts=(), embeddings=nothing, device="cpu")
    assert isinstance(judge, TextJudge)
    assert judge.space == build_embedder(name, "cpu").space
    tags = Tags(name="t", columns=("broad_1", "background"), of=TAGS.of)
    prompts = ["a photo of animal", "a photo of food", "a photo of thing"]
    with torch.inference_mode():
        texts = open_clip.get_tokenizer("tiny-test-texts")(prompts)
        expected = model.encode_text(texts, normalize=True).numpy()
    names = list(TAGS.of)
    pictures = expected[[["animal", "food", "thing"].index(TAGS.of[one][0]) for one in names]]
    vocabulary, likeness = judge.likeness(names, pictures, tags, 0)
    assert vocabulary == ["animal", "food", "thing"]
    np.testing.assert_allclose(likeness, pictures @ expected.T, atol=1e-5)
    found = cat_score(names, pictures, tags, judge, space=judge.space)
    assert found["columns"]["broad_1"]["share"] == 1.0  # these pictures are their tags
    assert found["columns"]["background"]["n_judged"] == 7  # words need no other picture
    assert not np.allclose(judge.likeness(names, pictures, tags, 1)[1][:, 0], likeness[:, 0])


@pytest.mark.parametrize(
    ("name", "kind", "words"),
    [
        ("nobody", ConfigError, "judge 'nobody'"),
        ("open_clip:ViT-B-32", ConfigError, "ARCHITECTURE/PRETRAINED"),
        ("open_clip:ViT-Z-99/openai", ConfigError, "architecture 'ViT-Z-99'"),
        ("open_clip:ViT-B-32/absent.pt", ConfigError, "OpenCLIP weights 'absent.pt'"),
        ("pictures", DatasetError, "1 concepts of 2 true pictures"),
    ],
)
def test_judges_that_cannot_be_had_are_refused_in_words(name: str, kind: type[NecomimiError], words: str) -> None:
    with pytest.raises(kind, match=words):
        build_judge(name, space=SPACE, concepts=["cat"], embeddings=random_vectors(2))


def test_a_tokenizer_that_cannot_be_had_is_refused_in_words(
    tiny: tuple[torch.nn.Module, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    model, _ = tiny
    config = {**TINY, "text_cfg": {**TINY["text_cfg"], "hf_tokenizer_name": str(tmp_path / "absent")}}  # type: ignore[dict-item]
    (tmp_path / "tiny-test-other-words.json").write_text(json.dumps(config))
    open_clip.add_model_config(tmp_path)
    save_file(model.state_dict(), tmp_path / "weights.safetensors")
    with pytest.raises(NecomimiError, match="tokenizer of tiny-test-other-words cannot be had"):
        TextJudge(f"open_clip:tiny-test-other-words/{tmp_path / 'weights.safetensors'}", "cpu")


def test_pictures_that_do_not_fit_are_refused_in_words() -> None:
    names = list(TAGS.of)
    judge = PictureJudge(names, random_vectors(7), SPACE)
    with pytest.raises(ConfigError, match=r"other/space\n.*test/space"):
        cat_score(names, random_vectors(7), TAGS, judge, space="other/space")
    with pytest.raises(DatasetError, match=r"shape \(6, 6\) for 7 concepts"):
        score(names, judge, random_vectors(6))
    broken = random_vectors(7)
    broken[3, 2] = np.nan
    with pytest.raises(DatasetError, match="1 of 7 embeddings hold a NaN"):
        score(names, judge, broken)
    with pytest.raises(DatasetError, match="among them horse"):
        score(["horse"], judge)
