"""Columns of text: encoded as the recipe says, with what the training samples have, and for new samples alike."""

from __future__ import annotations

from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from table_data import ROWS, frame, label_frame, numbers, read, table_recipe, write_tables
from test_new_samples import like

from omib_cli.errors import DataError, MismatchError
from omib_cli.sources.cells import is_date
from omib_cli.sources.tables import TablesSource

PROTEIN = {"files": "protein.csv", "id": "id"}
TRAIN = np.array([row % 4 > 1 for row in range(ROWS)])
SITE = np.array(["north", "south", "east"])[np.random.default_rng(3).integers(0, 3, ROWS)]
STAGE = np.array(["I", "II", "III"])[np.random.default_rng(4).integers(0, 3, ROWS)]


def clinic(**columns) -> pd.DataFrame:
    return frame(numbers(1), "r").assign(site=SITE, stage=STAGE, **columns)


def recipe(encode, **data):
    table = {"files": "rna.csv", "id": "id", "encode": encode, **data.pop("table", {})}
    return table_recipe(tables={"rna": table, "protein": PROTEIN}, **{"standardise": "none", **data})


def refusal(folder: Path, encode, **data) -> str:
    with pytest.raises(DataError) as caught:
        TablesSource(recipe(encode, **data), folder).plan()
    return str(caught.value)


def in_order(plan, block) -> pd.DataFrame:
    return pd.DataFrame(block.values["rna"], index=plan.ids, columns=plan.modalities["rna"].features).sort_index()


def prepared(folder: Path, plan, encode, samples: pd.DataFrame, allow: float = 0.0, **data):
    """New samples for a model of the plan's data: features by sample, and the warnings."""
    folder.mkdir()
    protein = frame(numbers(2, 1), "q")
    write_tables(folder, samples, protein[protein.id.isin(samples.id)])
    (folder / "labels.csv").unlink()
    known = like(plan)
    source = TablesSource(recipe(encode, **data), folder, type(known)(**{**known.__dict__, "allow_missing": allow}))
    new = source.plan()
    return in_order(new, source.block(0, len(new.ids))), source.warnings


def test_each_category_of_training_becomes_a_column(tmp_path):
    plan, block, source = read(write_tables(tmp_path, clinic()), recipe("onehot"))
    assert plan.modalities["rna"].features == [
        "r0", "site=east", "site=north", "site=south", "stage=I", "stage=II", "stage=III"
    ]  # fmt: skip
    found = in_order(plan, block)
    for category in ("east", "north", "south"):
        np.testing.assert_array_equal(found[f"site={category}"], category == SITE)
    assert source.warnings == []


def test_an_order_becomes_one_column_of_places_and_what_is_not_named_is_left_out_aloud(tmp_path):
    encode = {"stage": ["I", "II", "III"]}
    plan, block, source = read(write_tables(tmp_path, clinic()), recipe(encode))
    assert plan.modalities["rna"].features == ["r0", "stage"]
    np.testing.assert_array_equal(in_order(plan, block)["stage"], [len(stage) - 1 for stage in STAGE])
    assert any("columns of text are not used" in warning and "site" in warning for warning in source.warnings)
    both = {**encode, "s[ij]te": "onehot"}
    features = read(tmp_path, recipe(both))[0].modalities["rna"].features
    assert features == ["r0", "site=east", "site=north", "site=south", "stage"]


def test_a_name_is_heard_before_a_pattern(tmp_path):
    plan, _, _ = read(write_tables(tmp_path, clinic()), recipe({"s*": "onehot", "stage": ["III", "II", "I"]}))
    assert plan.modalities["rna"].features == ["r0", "site=east", "site=north", "site=south", "stage"]


def test_a_models_columns_are_names_and_no_patterns(tmp_path):
    table = clinic().rename(columns={"site": "site [1-3]"})
    plan, _, _ = read(write_tables(tmp_path, table), recipe({"site*": "onehot"}))
    with pytest.raises(MismatchError, match="3 features that the model needs"):
        prepared(tmp_path / "new", plan, {"site*": "onehot"}, clinic().rename(columns={"site": "site 1"}))


def test_what_is_encoded_is_scaled_like_any_feature(tmp_path):
    plan, block, _ = read(write_tables(tmp_path, clinic()), recipe("onehot", standardise="zscore"))
    flags = (SITE == "east").astype(float)
    expected = (flags - flags[TRAIN].mean()) / flags[TRAIN].std()
    np.testing.assert_allclose(in_order(plan, block)["site=east"], expected, rtol=1e-5)


def test_categories_are_those_of_the_training_samples(tmp_path):
    site = np.where(np.arange(ROWS) == 4, "moon", SITE)
    plan, block, source = read(write_tables(tmp_path, clinic().assign(site=site)), recipe({"site": "onehot"}))
    assert plan.modalities["rna"].features == ["r0", "site=east", "site=north", "site=south"]
    assert in_order(plan, block).loc["p04", "site=east":].tolist() == [0, 0, 0]
    assert any("'moon' (1 sample)" in warning and "none of those it has" in warning for warning in source.warnings)


def test_new_samples_are_encoded_as_the_model_was_trained_whatever_they_have(tmp_path):
    encode = {"site": "onehot", "stage": ["I", "II", "III"]}
    plan, block, _ = read(write_tables(tmp_path, clinic()), recipe(encode))
    known = in_order(plan, block)
    turned = clinic()[["stage", "r0", "id", "site"]][::-1]
    new, _ = prepared(tmp_path / "turned", plan, encode, turned)
    pd.testing.assert_frame_equal(new, known)
    one, warnings = prepared(tmp_path / "one", plan, encode, clinic().iloc[[7]])
    pd.testing.assert_frame_equal(one, known.iloc[[7]])
    assert not any("rna" in warning and "categor" in warning for warning in warnings)
    strange = clinic()
    strange.loc[[1, 2], "site"] = ["moon", "mars"]
    new, warnings = prepared(tmp_path / "strange", plan, encode, strange)
    assert not new.loc[["p01", "p02"], "site=east":"site=south"].to_numpy().any()
    assert any("'moon' (1 sample), 'mars' (1 sample)" in warning for warning in warnings)


@pytest.mark.parametrize("encode", ["onehot", {"s*": "onehot"}])
def test_a_model_knows_its_columns_of_text_however_the_recipe_named_them(tmp_path, encode):
    table = clinic(note="x").assign(stage=np.array(["1", "x", "y"])[[len(stage) - 1 for stage in STAGE]])
    plan, block, _ = read(write_tables(tmp_path, table), recipe(encode))
    assert "stage=1" in plan.modalities["rna"].features
    chosen = table[table.stage == "1"]  # pandas would read a column of numbers
    new, _ = prepared(tmp_path / "new", plan, encode, chosen.assign(other="text"))
    pd.testing.assert_frame_equal(new, in_order(plan, block).loc[list(chosen.id)])


def test_a_category_that_an_order_does_not_have_is_refused_in_training_and_missing_in_new_samples(tmp_path):
    encode = {"stage": ["I", "II", "III"]}
    plan, _, _ = read(write_tables(tmp_path, clinic()), recipe(encode))
    strange = clinic()
    strange.loc[3, "stage"] = "IV"
    with pytest.raises(DataError, match="missing value"):
        prepared(tmp_path / "new", plan, encode, strange)
    new, warnings = prepared(tmp_path / "allowed", plan, encode, strange, allow=0.1)
    assert new.loc["p03", "stage"] == pytest.approx(plan.modalities["rna"].preprocessing["fill"][1])
    assert any("count as missing" in warning and "'IV' (1 sample)" in warning for warning in warnings)
    write_tables(tmp_path, strange)
    message = refusal(tmp_path, encode)
    assert "order in `encode` does not have" in message
    assert "'IV'" in message


def test_a_column_of_text_that_new_samples_lack_is_a_feature_that_is_missing(tmp_path):
    plan, _, _ = read(write_tables(tmp_path, clinic()), recipe({"site": "onehot"}))
    with pytest.raises(MismatchError, match="3 features that the model needs") as caught:
        prepared(tmp_path / "new", plan, {"site": "onehot"}, clinic().drop(columns="site"))
    assert "site=east" in str(caught.value)


def test_missing_cells_are_missing_and_filled_as_numbers_are(tmp_path):
    table = clinic()
    table.loc[[2, 5], "site"] = ["NA", ""]
    assert "missing values" in refusal(write_tables(tmp_path, table), {"site": "onehot"})
    plan, block, _ = read(tmp_path, recipe({"site": "onehot"}, impute="mean"))
    rest = TRAIN & (np.arange(ROWS) != 2)
    for row in ("p02", "p05"):
        assert in_order(plan, block).loc[row, "site=east"] == pytest.approx((SITE[rest] == "east").mean())


def test_none_is_a_category_where_an_order_says_so(tmp_path):
    dose = np.array(["none", "low", "high"])[np.random.default_rng(5).integers(0, 3, ROWS)]
    encode = {"dose": ["none", "low", "high"]}
    plan, block, _ = read(write_tables(tmp_path, clinic(dose=dose)), recipe(encode))
    np.testing.assert_array_equal(in_order(plan, block)["dose"], [encode["dose"].index(one) for one in dose])


def test_numbers_may_be_categories_and_are_the_same_however_they_are_written(tmp_path):
    grade = np.random.default_rng(6).integers(1, 4, ROWS)
    plan, block, _ = read(write_tables(tmp_path, clinic(grade=grade)), recipe({"grade": "onehot"}))
    assert plan.modalities["rna"].features == ["r0", "grade=1", "grade=2", "grade=3"]
    new, _ = prepared(tmp_path / "new", plan, {"grade": "onehot"}, clinic(grade=[f"{one}.0" for one in grade]))
    pd.testing.assert_frame_equal(new, in_order(plan, block))
    ordered = in_order(*read(tmp_path, recipe({"grade": [3, 2, 1]}))[:2])
    np.testing.assert_array_equal(ordered["grade"], 3 - grade)


def test_categories_of_obs_are_encoded_and_files_of_two_splits_agree(tmp_path):
    write_tables(tmp_path)
    obs = clinic().set_index("id").astype({"site": "category"})
    for name, rows in (("train", TRAIN), ("test", ~TRAIN)):
        anndata.AnnData(np.zeros((20, 1), np.float32), obs=obs[rows]).write_h5ad(tmp_path / f"{name}.h5ad")
    table = {"files": {name: f"{name}.h5ad" for name in ("train", "test")}, "key": "obs", "id": None}
    plan, block, _ = read(tmp_path, recipe({"site": "onehot"}, table=table))
    np.testing.assert_array_equal(in_order(plan, block)["site=south"], SITE == "south")


@pytest.mark.parametrize("first", ["text", "numbers"])
def test_a_column_is_text_in_all_files_of_a_table_or_in_none(tmp_path, first):
    mixed = TRAIN if first == "text" else ~TRAIN
    stage = np.where(mixed & (STAGE != "I"), "x", "1")
    write_tables(tmp_path)
    for name, rows in (("train", TRAIN), ("test", ~TRAIN)):
        clinic().assign(stage=stage)[rows].to_csv(tmp_path / f"{name}.csv", index=False)
    table = {"files": {name: f"{name}.csv" for name in ("train", "test")}}
    if first == "numbers":
        assert "numbers in one file of the table, and of text in another" in refusal(tmp_path, "onehot", table=table)
    for encode in ({"site": "onehot", "stage": "onehot"}, *(["onehot"] if first == "text" else [])):
        plan, block, _ = read(tmp_path, recipe(encode, table=table, constant="keep"))
        np.testing.assert_array_equal(in_order(plan, block)["stage=1"], stage == "1")


def test_a_table_of_text_alone_is_a_modality(tmp_path):
    plan, block, source = read(write_tables(tmp_path, clinic().drop(columns="r0")), recipe("onehot"))
    assert plan.modalities["rna"].shape == (6,)
    assert block.present["rna"].all()
    assert not any("without rna" in warning for warning in source.warnings)


def test_dates_are_left_out_with_a_hint_or_refused_where_they_are_named(tmp_path):
    days = [f"2020-0{1 + row % 9}-1{row % 7}" for row in range(ROWS)]
    write_tables(tmp_path, clinic(day=days))
    for encode in (None, "onehot"):
        plan, _, source = read(tmp_path, recipe(encode))
        assert not any("day" in name for name in plan.modalities["rna"].features)
        assert any("columns of dates are not used" in warning and "day" in warning for warning in source.warnings)
    assert "dates are no categories" in refusal(tmp_path, {"day": "onehot"})


@pytest.mark.parametrize(
    "day", ["2024-01-31", "31.1.24", "1/31/2024", "5 Mar 2020", "Mar 5, 2020", "2020-01-01 00:00:00"]
)
def test_days_are_dates_however_they_are_written(day):
    assert is_date([day, "", "NA"])


@pytest.mark.parametrize("text", ["I", "1-2", "1.2.3.4", "T2N0", "ENSG00000141510.17", "Mar", "12", ""])
def test_other_text_is_no_date(text):
    assert not is_date([text])


def test_text_without_encode_is_left_out_and_the_option_is_named(tmp_path):
    plan, _, source = read(write_tables(tmp_path, clinic()), recipe(None))
    assert plan.modalities["rna"].features == ["r0"]
    assert any("`encode`" in warning and "site, stage" in warning for warning in source.warnings)
    assert "`encode`" in refusal(tmp_path, None, table={"columns": ["r0", "site"]})


def test_a_category_for_each_sample_is_a_name_and_refused(tmp_path):
    message = refusal(write_tables(tmp_path, clinic(code=[f"c{row * 7 % 41}" for row in range(ROWS)])), "onehot")
    assert "a category of its own for each training sample" in message
    assert "exclude: code" in message


def test_categories_that_may_be_one_are_refused(tmp_path):
    table = clinic().assign(site=np.where(np.arange(ROWS) == 3, "North", "north"))
    assert "categories that may be the same" in refusal(write_tables(tmp_path, table), {"site": "onehot"})


def test_text_that_decides_the_label_is_a_leak(tmp_path):
    table = clinic(diagnosis=label_frame().y.str.replace("sick", "C50").str.replace("well", "none of it"))
    message = refusal(write_tables(tmp_path, table), {"diagnosis": "onehot"})
    assert "'diagnosis' decides the label" in message
    features = read(tmp_path, recipe({"diagnosis": "onehot"}, allow_leak="diagnosis"))[0].modalities["rna"].features
    assert features == ["r0", "diagnosis=C50", "diagnosis=none of it"]


@pytest.mark.parametrize(
    ("encode", "table", "words"),
    [
        ({"sight": "onehot"}, {}, "did you mean 'site'"),
        ({"id": "onehot"}, {}, "no feature"),
        ({"site": "onehot"}, {"exclude": "site"}, "no feature"),
        ({"site": "onehot"}, {"columns": "r0"}, "does not choose"),
    ],
)
def test_what_is_encoded_must_be_a_feature(tmp_path, encode, table, words):
    assert words in refusal(write_tables(tmp_path, clinic()), encode, table=table)


@pytest.mark.parametrize(
    ("encode", "words"),
    [
        ("ordinal", "needs the order"),
        ({"stage": "ordinal"}, r"encode: \{stage: \[low, middle, high\]\}"),
        ({"stage": ["I", "I"]}, "two categories or more, each once"),
        ({"stage": ["I"]}, "two categories or more, each once"),
    ],
)
def test_an_order_is_given_or_refused(encode, words):
    with pytest.raises(ValidationError, match=words):
        recipe(encode)


def test_what_is_encoded_needs_a_header():
    with pytest.raises(ValidationError, match="names columns as the file's header does"):
        recipe("onehot", table={"header": False})


def test_steps_see_the_features_that_text_became_and_new_samples_go_the_same_way(tmp_path):
    table = {"preprocess": [{"kind": "zscore"}, {"kind": "pca", "components": 3}]}
    encode = {"site": "onehot", "stage": ["I", "II", "III"]}
    plan, block, _ = read(write_tables(tmp_path, clinic()), recipe(encode, table=table))
    assert plan.modalities["rna"].shape == (3,)
    new, _ = prepared(tmp_path / "new", plan, encode, clinic()[["stage", "site", "r0", "id"]].iloc[::-2], table=table)
    np.testing.assert_allclose(new, in_order(plan, block).loc[new.index], rtol=1e-6, atol=1e-6)
