"""Which part of a recipe decides which artifact: what the hash of each stage sees, and what it does not."""

from __future__ import annotations

import pytest
from small import small_recipe

from omib_cli.recipe.load import recipe_from_values
from omib_cli.recipe.schema import recipe_model

STAGES = ("dataset", "information", "warmup", "model", "report")
CHANGES = {
    "seed": (1, STAGES),
    "data": ({"source": "simulation", "case": "i"}, ("dataset",)),
    "task": ({"kind": "regression"}, ("dataset", "warmup", "model")),
    "head": ({"hidden": 17}, ("warmup", "model")),
    "fusion": ({"method": "omib", "latent": 4}, ("warmup", "model")),
    "information": ({"seeds": 2}, ("information",)),
    "beta": ({"policy": "value", "value": 0.03}, ("model",)),
    "warmup": ({"epochs": 5}, ("warmup",)),
    "train": ({"epochs": 5}, ("model",)),
    "evaluate": ({"bootstrap": 7}, ("report",)),
    "name": ("other", ()),
}


def changed(recipe, other):
    return tuple(stage for stage in STAGES if recipe.hash(stage) != other.hash(stage))


@pytest.mark.parametrize("section", CHANGES)
def test_a_section_decides_what_is_made_from_it_and_nothing_else(section):
    value, stages = CHANGES[section]
    before = small_recipe()
    after = recipe_from_values({**before.resolved(), section: value})
    assert changed(before, after) == stages
    assert before.hash() != after.hash()


def test_every_section_is_looked_at():
    assert set(CHANGES) | {"modalities", "tune"} == set(recipe_model().model_fields)


def test_what_is_to_be_tuned_decides_nothing_that_a_run_makes():
    before = small_recipe()
    after = small_recipe(tune={"train.batch": {"choices": [16, 32]}})
    assert (changed(before, after), after.hash()) == ((), before.hash())


def test_the_order_of_modalities_decides_because_the_first_is_the_reference():
    recipe = small_recipe()
    turned = {name: recipe.resolved()["modalities"][name] for name in reversed(recipe.modalities)}
    other = small_recipe(modalities=turned)
    assert changed(recipe, other) == ("dataset", "warmup", "model")
    assert recipe.hash() != other.hash()


def test_an_encoder_decides_the_networks_and_leaves_the_data_alone():
    wide = {name: {"encoder": {"kind": "mlp", "hidden": [17], "width": 8}} for name in ("x1", "x2")}
    assert changed(small_recipe(), small_recipe(modalities=wide)) == ("warmup", "model")
