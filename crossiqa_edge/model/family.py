"""The family: four sizes of one network."""

from __future__ import annotations

from dataclasses import dataclass

from crossiqa_edge.errors import ConfigError

PATCH_SIZE = 16
VIEW_SIZE = 224
EMBEDDINGS = ("multilevel", "linear")


@dataclass(frozen=True, slots=True)
class FamilySize:
    """The shape of one member.

    Attributes:
        name: nano, tiny, small or base.
        width: token width of the encoder.
        depth: encoder blocks.
        heads: attention heads; ``head_dim`` is ``width / heads``.
        levels: (pixels per side merged, width out) of each patch-local embedding level but the last,
            which merges what is left of the patch into ``width``.
        decoder_width, decoder_depth, decoder_heads: the shape of the pretext's decoder.
    """

    name: str
    width: int
    depth: int
    heads: int
    decoder_width: int
    decoder_depth: int
    decoder_heads: int
    levels: tuple[tuple[int, int], ...] = ((2, 32), (2, 64))

    @property
    def head_dim(self) -> int:
        return self.width // self.heads


FAMILY = {
    size.name: size
    for size in (
        # micro is no member that anybody would ship: tests train it in seconds.
        FamilySize("micro", 64, 2, 2, 64, 1, 2, levels=((2, 16), (2, 32))),
        FamilySize("nano", 128, 6, 4, 128, 2, 4),
        FamilySize("tiny", 192, 12, 3, 128, 2, 4),
        FamilySize("small", 384, 12, 6, 192, 3, 6),
        FamilySize("base", 768, 12, 12, 384, 4, 12),
    )
}


def family_size(name: str) -> FamilySize:
    """The member called ``name``; ConfigError where there is none."""
    if name not in FAMILY:
        raise ConfigError(f"unknown model size {name!r}; choose from {', '.join(FAMILY)}")
    return FAMILY[name]
