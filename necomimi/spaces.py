"""What embeddings may be compared with each other: model, layer, blur levels, adapter <-> the name of a space."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["EMBEDDED_SPACE", "SHARP", "Space"]

EMBEDDED_SPACE = "embedded:efficientnet-lite0-pca256/1"  # of the picture encoder that packages ship
SHARP = (1,)  # the blur levels of a gallery that has only the pictures themselves
_NAME = re.compile(r"([^?]+)(?:\?(?:layer=(\d+))?&?(?:levels=(\d+(?:,\d+)+))?(?:&?adapter=([0-9a-f]+))?)?")


@dataclass(frozen=True)
class Space:
    """An embedding space, from its parts: ``open_clip:ViT-H-14/laion2b_s32b_b79k?layer=11&levels=1,3,9``.

    Parameters
    ----------
    model : str
        The vision network and its weights.
    layer : int or None
        The block of the network whose output is taken, counted from 1; None for the network's own embedding.
    levels : tuple of int
        Kernel sizes of the Gaussian blur in pixels of the network's input, 1 (the sharp picture) first.
    adapter : str
        The image adapter that followed, eight hex digits of its weights; "" for none.
    """

    model: str
    layer: int | None = None
    levels: tuple[int, ...] = SHARP
    adapter: str = ""

    @classmethod
    def parse(cls, name: str) -> Space:
        """Return the parts of a name; one that we did not make is a model by itself."""
        match = _NAME.fullmatch(name)
        if match is None:
            return cls(name)
        model, layer, levels, adapter = match.groups()
        return cls(
            model,
            int(layer) if layer else None,
            tuple(int(level) for level in levels.split(",")) if levels else SHARP,
            adapter or "",
        )

    def __str__(self) -> str:
        parts = {
            "layer": "" if self.layer is None else str(self.layer),
            "levels": "" if self.levels == SHARP else ",".join(map(str, self.levels)),
            "adapter": self.adapter,
        }
        query = "&".join(f"{key}={value}" for key, value in parts.items() if value)
        return f"{self.model}?{query}" if query else self.model

    def how_to_embed(self) -> str:
        """Return the command that makes a gallery of this space, as it is before any adapter."""
        layer = "" if self.layer is None else f" --layer {self.layer}"
        levels = "" if self.levels == SHARP else f" --levels {','.join(map(str, self.levels))}"
        return f"necomimi embed PICTURES OUT --model {self.model}{layer}{levels}"
