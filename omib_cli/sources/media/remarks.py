"""What there is to say of clips that are used all the same: copies, and lengths that are far from what is used."""

from __future__ import annotations

from collections.abc import Mapping

from omib_cli.errors import listed
from omib_cli.sources.sheets import counted

FAR_OFF = 3.0
"""How many times shorter or longer a clip may be than the part that is used, without a word."""


def alike(name: str, hashes: Mapping[str, str]) -> list[str]:
    """A warning of clips of which a modality is one and the same file: a copy in the test split is no test."""
    first: dict[str, str] = {}
    copies = [f"{clip} = {other}" for clip, one in hashes.items() if (other := first.setdefault(one, clip)) != clip]
    return [f"{name}: {counted(len(copies), 'clip')} with the file of another clip: {listed(copies)}"] if copies else []


def far_off(name: str, lengths: Mapping[str, float], wanted: float) -> list[str]:
    """What there is to say of clips much shorter or longer than the seconds that are used of them."""
    rest = {"audio": "short sounds are repeated", "video": "the last picture stands still"}[name]
    order = sorted(lengths, key=lengths.__getitem__)
    short = [clip for clip in order if lengths[clip] * FAR_OFF < wanted]
    long = [clip for clip in reversed(order) if lengths[clip] > FAR_OFF * wanted]
    odd = [(short, "less than a third as long", rest), (long, "more than three times as long", "the rest is cut off")]
    return [
        f"{name}: {counted(len(clips), 'clip')} {which} as the {wanted:g} s that are used ({what}): "
        + listed(f"{clip} {lengths[clip]:.2f} s" for clip in clips)
        for clips, which, what in odd
        if clips
    ]
