"""What a search tries: the tune section of a recipe and what it refuses, and the space of a recipe without one."""

from __future__ import annotations

import pytest
import yaml
from small import small_recipe

from omib_cli.errors import RecipeError
from omib_cli.recipe.load import load_recipe, load_tunable
from omib_cli.recipe.space import overrides_of, own_values, space_of, whole_keys, with_own


def written(tmp_path, tune, **sections):
    path = tmp_path / "small.yaml"
    values = {**small_recipe(**sections).resolved(), "tune": tune}
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("key", "options", "said"),
    [
        ("train.optimizer.lr", {"low": 1, "high": 2}, "did you mean 'train.optimiser.lr'"),
        ("train.optimiser", {"low": 1, "high": 2}, "expected a section"),
        ("modalities.x9.encoder.width", {"choices": [4, 8]}, "no such key"),
        ("train.optimiser.kind", {"choices": ["adam", "adan"]}, "did you mean 'adam'"),
        ("modalities.*.encoder.dropout", {"low": 0, "high": 1.5}, "expected less than 1"),
        ("train.batch", {"low": 0, "high": 8}, "expected at least 1"),
        ("fusion.heads", {"choices": [4, 3]}, "no multiple"),
        ("train.batch", {"low": 8, "high": 4}, "must be less than"),
        ("train.batch", {"low": 8}, "give `low` and `high`"),
        ("train.batch", {"choices": [8, 16], "low": 1}, "give either"),
        ("train.batch", {"choices": [8, 8]}, "there twice"),
        ("train.batch", {"choices": [8]}, "at least 2"),
        ("train.optimiser.lr", {"low": 0, "high": 1, "log": True}, "more than 0"),
        ("train.optimiser.lr", {"low": 0, "hihg": 1}, "did you mean 'high'"),
        ("seed", {"low": 0, "high": 9}, "luck"),
        ("evaluate.bootstrap", {"low": 0, "high": 9}, "what is reported"),
        ("task.kind", {"choices": ["classification", "regression"]}, "cannot be compared"),
        ("data.validation", {"low": 0.1, "high": 0.3}, "which samples judge"),
        ("data.*", {"low": 0.1, "high": 0.3}, "which samples judge"),
        ("objective", {"choices": ["test", "validation"]}, "the test split says may choose nothing"),
    ],
)
def test_a_key_that_cannot_be_tuned_is_refused_with_its_line(tmp_path, key, options, said):
    path = written(tmp_path, {key: options})
    with pytest.raises(RecipeError) as refused:
        load_tunable(path)
    (problem,) = refused.value.problems
    line = path.read_text(encoding="utf-8").splitlines().index("tune:") + 1
    assert int(problem.split(":")[1]) > line
    assert said in problem


def test_all_problems_are_named_at_once(tmp_path):
    tune = {"seed": {"low": 0, "high": 9}, "train.bacth": {"choices": [1, 2]}, "train.epochs": {"choices": [0, 3]}}
    with pytest.raises(RecipeError) as refused:
        load_tunable(written(tmp_path, tune))
    assert len(refused.value.problems) == 3


def test_a_star_is_one_value_for_every_name_at_its_place(tmp_path):
    tune = {"*.optimiser.lr": {"low": 0.1, "high": 0.2}, "modalities.*.encoder.width": {"choices": [8, 16]}}
    recipe = load_tunable(written(tmp_path, tune))
    found = overrides_of(recipe, {"*.optimiser.lr": 0.15, "modalities.*.encoder.width": 16})
    assert found == {
        "warmup.optimiser.lr": 0.15,
        "train.optimiser.lr": 0.15,
        "modalities.x1.encoder.width": 16,
        "modalities.x2.encoder.width": 16,
    }


@pytest.mark.parametrize("name", ["sim-i", "rosmap", "rosmap-dmib", "cmu-mosi-features", "her2st-genes", "crema-d"])
def test_a_recipe_takes_every_value_of_the_space_that_stands_in_for_none(tmp_path, name):
    recipe = load_recipe(name)
    space = space_of(recipe.model_copy(update={"tune": {}}))
    values = {**recipe.resolved(), "tune": {key: options.model_dump(mode="json") for key, options in space.items()}}
    path = tmp_path / f"{name}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    assert space_of(load_tunable(path)) == space
    assert "train.optimiser.lr" in overrides_of(recipe, dict.fromkeys(space))


def test_beta_is_tried_where_its_policy_leaves_it_open_and_nowhere_without_beta():
    assert "beta.value" in space_of(small_recipe())
    assert space_of(small_recipe(beta={}))["beta.policy"].choices == ["lower", "midpoint", "upper"]
    assert not {"beta.value", "beta.policy", "fusion.latent"} & set(space_of(small_recipe(fusion={"method": "concat"})))


def test_the_loss_of_a_regression_is_tried():
    assert space_of(small_recipe(task="regression"))["task.loss"].choices == ["mse", "l1", "gaussian"]


def test_another_method_is_tuned_by_the_keys_that_it_has(tmp_path):
    tune = {"fusion.attention": {"choices": ["none", "cross"]}, "train.batch": {"low": 8, "high": 16}}
    path = written(tmp_path, tune)
    assert list(space_of(load_recipe(path, ['fusion={"method": "concat"}']))) == ["train.batch"]


def test_the_recipes_own_value_is_among_the_choices_and_decides_what_is_whole():
    tune = {"train.batch": {"choices": [8, 16]}, "train.epochs": {"low": 1, "high": 4}}
    tune |= {"train.optimiser.lr": {"low": 1, "high": 4}, "fusion.latent": {"low": 4, "high": 8}}
    recipe = small_recipe(tune=tune)
    own = own_values(recipe, space_of(recipe))
    assert with_own(space_of(recipe), own)["train.batch"].choices == [32, 8, 16]
    assert set(whole_keys(space_of(recipe), own)) == {"train.epochs", "fusion.latent"}
