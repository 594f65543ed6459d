"""A space's name says what it is made of, and how to make a gallery of it."""

from __future__ import annotations

import pytest

from necomimi.spaces import Space

CLIP = "open_clip:ViT-H-14/laion2b_s32b_b79k"


@pytest.mark.parametrize(
    ("space", "name"),
    [
        (Space(CLIP), CLIP),
        (Space(CLIP, layer=11), f"{CLIP}?layer=11"),
        (Space(CLIP, levels=(1, 3, 9)), f"{CLIP}?levels=1,3,9"),
        (Space(CLIP, 11, (1, 3, 9)), f"{CLIP}?layer=11&levels=1,3,9"),
        (Space(CLIP, 11, (1, 3, 9), "0123abcd"), f"{CLIP}?layer=11&levels=1,3,9&adapter=0123abcd"),
        (Space("labels:0123456789ab"), "labels:0123456789ab"),
        (Space("somebody's?layer=deep"), "somebody's?layer=deep"),
    ],
)
def test_names_and_parts(space: Space, name: str) -> None:
    assert str(space) == name
    assert Space.parse(name) == space


def test_how_to_embed_leaves_the_adapter_to_training() -> None:
    space = Space(CLIP, 11, (1, 3, 9), "0123abcd")
    assert space.how_to_embed() == f"necomimi embed PICTURES OUT --model {CLIP} --layer 11 --levels 1,3,9"
    assert Space(CLIP).how_to_embed() == f"necomimi embed PICTURES OUT --model {CLIP}"
