"""Ids written in one way in all files: endings cut off, TCGA barcodes cut to what they are of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from omib_cli.errors import DataError, listed

if TYPE_CHECKING:
    from omib_cli.recipe.sources.common import IdRule

BARCODE = re.compile(r"TCGA[-.]([A-Z0-9]{2})[-.]([A-Z0-9]{4})(?:[-.](\d{2})[A-Z]?(?:[-.].*)?)?", re.IGNORECASE)
"""Project, tissue source site, participant, and the type of the sample; R writes points for hyphens."""


def by_rule(ids: Sequence[str], rule: IdRule | None, where: str) -> list[str]:
    """The ids (N) as the rule writes them; empty ones stay.

    Raises
    ------
    DataError
        Two ids that become one; ids that are no TCGA barcodes, or say no type of sample where it is asked for.
    """
    if rule is None:
        return list(ids)
    written = [_without_ending(one, rule.endings) for one in ids]
    if rule.tcga is not None:
        written = _barcodes(written, rule.tcga, where)
    _must_stay_apart(ids, written, where)
    return written


def _without_ending(one: str, endings: Sequence[str]) -> str:
    found = next((ending for ending in endings if one.endswith(ending)), "")
    return one.removesuffix(found)


def _barcodes(ids: Sequence[str], level: str, where: str) -> list[str]:
    found = [BARCODE.fullmatch(one) for one in ids]
    wanted = "TCGA-XX-XXXX" if level == "patient" else "TCGA-XX-XXXX-01"
    odd = [
        one
        for one, match in zip(ids, found, strict=True)
        if one and (not match or (level == "sample" and not match[3]))
    ]
    if odd:
        raise DataError(
            "ids that are no TCGA barcodes" if level == "patient" else "ids that name no sample of TCGA",
            where=where,
            got=listed(map(repr, odd)),
            expected=f"{wanted}, with or without what follows",
            do="leave `id_rule` out where ids are not TCGA's",
        )
    parts = [match.groups() if match else () for match in found]
    return ["-".join(["TCGA", *part[: 2 if level == "patient" else 3]]).upper() if part else "" for part in parts]


def _must_stay_apart(ids: Sequence[str], written: Sequence[str], where: str) -> None:
    first: dict[str, str] = {}
    one = [
        f"{first[new]} and {old} ({new})"
        for old, new in zip(ids, written, strict=True)
        if first.setdefault(new, old) != old
    ]
    if one:
        raise DataError(
            "samples that `id_rule` makes one",
            where=where,
            got=listed(one),
            expected="one sample for each id that is left",
            do="keep one of them in the file (the primary tumour, one replicate), or leave `id_rule` out",
        )
