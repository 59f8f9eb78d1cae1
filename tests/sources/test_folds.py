"""Folds of a cross-validation: every sample tested once, groups whole, nothing learnt of the fold, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from table_data import frame, label_frame, numbers, read, table_recipe, write_tables

from omib_cli.errors import DataError, RecipeError
from omib_cli.recipe.load import recipe_from_values

LABELS = {"files": "labels.csv", "id": "id", "column": "y", "split": "split"}


def folded(number=1, folds=4, task="classification", labels=None, seed=0, validation=0.0, **fold):
    """A recipe that tests one fold."""
    split = {"fold": {"number": number, "folds": folds, **fold}, "validation": validation}
    return table_recipe(task, seed, labels={**LABELS, **(labels or {})}, split=split)


def fold_of(folder, **said):
    plan, _, source = read(folder, folded(**said))
    return of_split(plan, 2), plan, source


def of_split(plan, code):
    """Ids of the samples of a split."""
    return [name for name, own in zip(plan.ids, plan.split, strict=True) if own == code]


def test_every_sample_is_tested_in_one_fold_and_each_class_in_all_of_them(tmp_path):
    write_tables(tmp_path)
    found = [fold_of(tmp_path, number=number)[0] for number in (1, 2, 3, 4)]
    assert sorted(name for fold in found for name in fold) == [f"p{row:02d}" for row in range(40)]
    sick = [sum(int(name[1:]) % 2 for name in fold) for fold in found]
    assert (sick, [len(fold) for fold in found]) == ([5] * 4, [10] * 4)


def test_repeats_and_seeds_divide_anew_and_the_same_ones_alike(tmp_path):
    write_tables(tmp_path)
    first = fold_of(tmp_path)[0]
    assert fold_of(tmp_path)[0] == first
    assert fold_of(tmp_path, repeat=2)[0] != first
    assert fold_of(tmp_path, seed=1)[0] != first


@pytest.mark.parametrize(("task", "column"), [("classification", "y"), ("regression", "age")])
def test_whole_groups_are_in_one_fold(tmp_path, task, column):
    write_tables(tmp_path)
    labels = {"group": "patient", "column": column}
    found = [fold_of(tmp_path, number=number, task=task, labels=labels)[1] for number in (1, 2, 3, 4)]
    for plan in found:
        sides = {code: {g for g, own in zip(plan.groups, plan.split, strict=True) if own == code} for code in (0, 2)}
        assert sides[2]
        assert not sides[0] & sides[2]
    assert sum(int(np.sum(plan.split == 2)) for plan in found) == 40


def test_validation_is_carved_out_of_what_a_fold_leaves(tmp_path):
    write_tables(tmp_path)
    plain, carved = fold_of(tmp_path), fold_of(tmp_path, validation=0.2)
    assert sorted(plain[0]) == sorted(carved[0])
    assert np.bincount(carved[1].split).tolist() == [24, 6, 10]


def test_inner_folds_validate_every_sample_that_is_not_tested_once(tmp_path):
    write_tables(tmp_path)
    plans = [fold_of(tmp_path, validation={"number": number, "folds": 3})[1] for number in (1, 2, 3)]
    assert len({tuple(of_split(plan, 2)) for plan in plans}) == 1
    names = [of_split(plan, 1) for plan in plans]
    every = [name for own in names for name in own]
    assert len(set(every)) == len(every) == 30
    assert [sum(int(name[1:]) % 2 for name in own) for own in names] == [5, 5, 5]
    assert of_split(fold_of(tmp_path, validation={"number": 1, "folds": 3}, repeat=2)[1], 1) != names[0]


def test_inner_folds_keep_groups_whole_and_take_in_validation_samples_that_are_given(tmp_path):
    labels = label_frame()
    labels["split"] = ["test" if row < 16 else "validation" if row < 24 else "train" for row in range(40)]
    write_tables(tmp_path, labels=labels)
    own = {**LABELS, "group": "patient"}
    found: list[str] = []
    for number in (1, 2, 3):
        split = {"validation": {"number": number, "folds": 3}}
        plan, _, _ = read(tmp_path, table_recipe(labels=own, split=split))
        sides = {code: {g for g, own in zip(plan.groups, plan.split, strict=True) if own == code} for code in (0, 1, 2)}
        assert not sides[0] & sides[1]
        assert sides[2] == {"g0", "g1", "g2", "g3"}
        found += of_split(plan, 1)
    assert sorted(found) == [f"p{row:02d}" for row in range(16, 40)]


def test_more_inner_folds_than_samples_of_a_class_are_refused(tmp_path):
    write_tables(tmp_path)
    with pytest.raises(DataError, match="more folds than samples"):
        fold_of(tmp_path, validation={"number": 1, "folds": 16})
    with pytest.raises(ValueError, match="no fold 4 of 3"):
        folded(validation={"number": 4, "folds": 3})


def test_a_value_in_the_fold_changes_nothing_that_is_fitted(tmp_path):
    """Scaling, imputation, selection and components: all arrays that a model carries stay the same to the bit."""
    rna = frame(numbers(6), "r")
    rna.iloc[3, 2] = np.nan
    write_tables(tmp_path, rna=rna)
    base = folded().resolved()
    base["data"] |= {"impute": "median"}
    steps = [{"kind": "select", "by": "anova", "top": 2}, {"kind": "pca", "components": 1}]
    base["data"]["tables"]["protein"]["preprocess"] = steps

    def fitted():
        plan, block, _ = read(tmp_path, recipe_from_values(base))
        training = {name: values[plan.split == 0] for name, values in block.values.items()}
        return plan, {name: one.preprocessing for name, one in plan.modalities.items()}, training

    plan, before, training = fitted()
    held = plan.ids[int(np.flatnonzero(plan.split == 2)[0])]
    for file, columns in (("rna.csv", ["r0", "r5"]), ("protein.csv", ["q1"])):
        values = pd.read_csv(tmp_path / file, float_precision="round_trip")
        values.loc[values["id"] == held, columns] = 1e6
        values.to_csv(tmp_path / file, index=False)
    after_plan, after, again = fitted()
    assert after_plan.ids == plan.ids
    for name, arrays in before.items():
        assert arrays.keys() == after[name].keys()
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, after[name][key])
        np.testing.assert_array_equal(training[name], again[name])


def test_a_given_split_is_pooled_and_that_is_said(tmp_path):
    write_tables(tmp_path)
    _, plan, source = fold_of(tmp_path)
    assert len(plan.ids) == 40
    assert any("pooled and divided into 4 folds" in warning for warning in source.warnings)


def test_within_train_the_given_test_samples_take_no_part_and_that_is_said(tmp_path):
    write_tables(tmp_path)
    _, plan, source = fold_of(tmp_path, within="train")
    given = label_frame().set_index("id")["split"]
    assert sorted(plan.ids) == sorted(given[given == "train"].index)
    assert any(warning.startswith("20 samples of the test split") for warning in source.warnings)


def test_within_train_without_a_given_split_is_refused(tmp_path):
    write_tables(tmp_path)
    with pytest.raises(RecipeError, match="gives no split"):
        fold_of(tmp_path, within="train", labels={"split": None})


def test_more_folds_than_the_rarest_class_has_samples_are_refused(tmp_path):
    labels = label_frame()
    labels["y"] = ["rare" if row < 3 else "usual" for row in range(40)]
    write_tables(tmp_path, labels=labels)
    with pytest.raises(DataError, match="more folds than samples of class 'rare'"):
        fold_of(tmp_path)


def test_more_folds_than_groups_of_a_class_are_refused(tmp_path):
    labels = label_frame()
    labels["patient"] = [f"g{row // 20}" for row in range(40)]
    write_tables(tmp_path, labels=labels)
    with pytest.raises(DataError, match="more folds than groups of class 'sick'"):
        fold_of(tmp_path, labels={"group": "patient"})


def test_more_folds_than_groups_or_samples_of_values_are_refused(tmp_path):
    labels = label_frame()
    labels["patient"] = [f"g{row // 20}" for row in range(40)]
    write_tables(tmp_path, labels=labels)
    with pytest.raises(DataError, match="more folds than groups"):
        fold_of(tmp_path, task="regression", labels={"group": "patient", "column": "age"})
    with pytest.raises(DataError, match="more folds than samples"):
        fold_of(tmp_path, task="regression", folds=41, labels={"column": "age"})


def test_a_fold_without_a_class_is_refused(tmp_path):
    """Three groups have the rare class, but one of them is so large that it fills a fold by itself."""
    labels = label_frame()
    labels["patient"] = ["big"] * 30 + [f"g{row}" for row in range(10)]
    labels["y"] = ["rare" if row in (0, 30) else "usual" for row in range(40)]
    write_tables(tmp_path, labels=labels)
    fold_of(tmp_path, folds=2, labels={"group": "patient"})
    with pytest.raises(DataError, match="more folds than groups of class 'rare'"):
        fold_of(tmp_path, folds=3, labels={"group": "patient"})


def survival_of(folder, events, times=None, number=1, validation=0.0, **labels):
    """The plan of a fold, of samples that have the event in the rows that are named."""
    table = label_frame()
    table["dead"] = [int(row in events) for row in range(40)]
    table["months"] = np.arange(1.0, 41.0) if times is None else times
    write_tables(folder, labels=table)
    labels = {"column": "months", "event": "dead", **labels}
    return fold_of(folder, number=number, task="survival", labels=labels, validation=validation)[1]


def test_inner_folds_keep_the_share_of_events_where_the_test_samples_are_drawn_at_random(tmp_path):
    events = {0, 1, 2, 3, 4, 5, 20, 21, 22, 23, 24, 25}
    table = label_frame()
    table["dead"], table["months"] = [int(row in events) for row in range(40)], np.arange(1.0, 41.0)
    write_tables(tmp_path, labels=table)
    labels = {**LABELS, "column": "months", "event": "dead"}
    shares = []
    for number in (1, 2, 3):
        split = {"by": "random", "test": 0.25, "validation": {"number": number, "folds": 3}}
        plan, _, _ = read(tmp_path, table_recipe("survival", labels=labels, split=split))
        own = {int(name[1:]) for name, code in zip(plan.ids, plan.split, strict=True) if code == 1}
        assert len(own) == 10
        shares.append(len(own & events))
    assert max(shares) - min(shares) <= 1


def test_events_are_in_all_inner_folds_in_proportion(tmp_path):
    events = {0, 1, 2, 3, 4, 5, 20, 21, 22, 23, 24, 25}
    for number in (1, 2, 3):
        plan = survival_of(tmp_path, events, validation={"number": number, "folds": 3})
        validated = {int(name[1:]) for name, code in zip(plan.ids, plan.split, strict=True) if code == 1}
        assert (len(validated), len(validated & events)) == (10, 3)


def test_events_are_in_all_folds_in_proportion(tmp_path):
    events = {0, 1, 2, 3, 20, 21, 22, 23}
    for number in (1, 2, 3, 4):
        plan = survival_of(tmp_path, events, number=number)
        held = {int(name[1:]) for name, code in zip(plan.ids, plan.split, strict=True) if code == 2}
        assert (len(held), len(held & events)) == (10, 2)


def test_more_folds_than_events_are_refused(tmp_path):
    with pytest.raises(DataError, match="more folds than samples of class 'event'") as caught:
        survival_of(tmp_path, {1, 2, 3})
    assert "class" not in caught.value.do


def test_a_fold_whose_groups_are_all_censored_is_refused(tmp_path):
    with pytest.raises(DataError, match="more folds than groups of class 'event'"):
        survival_of(tmp_path, {0, 1, 2, 3, 4}, group="patient")  # all of two patients


@pytest.mark.parametrize("time", [0.0, -3.0])
def test_times_of_zero_or_below_are_refused_before_anything_is_divided(tmp_path, time):
    with pytest.raises(DataError, match="times of zero or below"):
        survival_of(tmp_path, set(range(0, 40, 3)), times=[time, *range(1, 40)])


def test_a_fold_that_is_none_of_them_is_no_recipe():
    for fold in ({"number": 1, "folds": 1}, {"number": 6, "folds": 5}, {"number": 0}):
        values = table_recipe().resolved()
        values["data"]["split"] = {"fold": fold}
        with pytest.raises(RecipeError):
            recipe_from_values(values)
