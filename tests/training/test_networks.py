"""Every recipe that is accepted builds its network: what a constructor would refuse is found when a recipe is read."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from pydantic import ValidationError
from small import small_recipe

from omib_cli.recipe.fusion import FUSIONS
from omib_cli.training.model import build_model

VARIANTS = {
    "omib": [
        {"attention": attention, "heads": heads, "main_training": training}
        for attention, heads, training in product(
            ("tokens", "single", "cross", "none"), (1, 2, 3, 4), ("full", "without-omf")
        )
    ],
    "mmib-cui": [{"heads": heads} for heads in (1, 2, 3)],
    "misa": [{"width": width} for width in (2, 3, 6)],
    "deep-ib": [{}, {"kl": [0.1, 0.2]}],
}


@pytest.mark.parametrize("method", list(FUSIONS))
def test_an_accepted_recipe_builds_its_network(method):
    built = 0
    for options, count, width in product(VARIANTS.get(method, [{}]), (2, 3), (1, 5, 6)):
        encoder = {"kind": "mlp", "hidden": [], "width": width}
        modalities = {f"x{i + 1}": {"encoder": encoder} for i in range(count)}
        try:
            recipe = small_recipe(count, modalities=modalities, fusion={"method": method, **options})
        except ValidationError:
            continue
        names = list(recipe.modalities)
        facts = {"kinds": dict.fromkeys(names, "vector"), "shapes": {name: [3] for name in names}, "configs": {}}
        build_model(recipe, {**facts, "classes": ["0", "1"]}, torch.device("cpu"))
        built += 1
    assert built
