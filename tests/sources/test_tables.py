"""Tables: every format, both joins, masks, splits, and nothing learnt from the test split."""

from __future__ import annotations

import gzip
import warnings

import anndata
import h5py
import mudata
import numpy as np
import pandas as pd
import pytest
import scipy.io
import scipy.sparse
import yaml
from real import REPOSITORY, real_data
from table_data import ROWS, frame, label_frame, numbers, read, table_recipe, write_tables

from omib_cli.recipe.schema import recipe_model
from omib_cli.sources.tables import TablesSource

RNA = numbers(3)
TRAIN = np.array([row % 4 > 1 for row in range(ROWS)])


def expected(values: np.ndarray = RNA) -> np.ndarray:
    """Values standardised by hand, training rows first."""
    train = values[TRAIN]
    scaled = (values - train.mean(0)) / train.std(0)
    return np.vstack([scaled[TRAIN], scaled[~TRAIN]])


def test_tables_are_joined_sorted_by_split_and_standardised_on_training_rows(tmp_path):
    plan, block, _ = read(write_tables(tmp_path))
    np.testing.assert_allclose(block.values["rna"], expected(), rtol=1e-5, atol=1e-6)
    assert plan.split.tolist() == [0] * 20 + [2] * 20
    assert plan.ids[:3] == ["p02", "p03", "p06"]
    assert plan.classes == ["sick", "well"]
    assert block.labels[:3].tolist() == [1.0, 0.0, 1.0]
    assert plan.modalities["rna"].features == ["r0", "r1", "r2"]
    np.testing.assert_allclose(plan.modalities["rna"].preprocessing["offset"], RNA[TRAIN].mean(0))
    assert block.values["rna"].dtype == np.float32
    assert all(present.all() for present in block.present.values())


def test_nothing_is_learnt_from_the_test_split(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    values = RNA.copy()
    values[~TRAIN] *= 1000
    gaps = frame(values, "r")
    gaps.loc[gaps.id == "p02", "r1"] = np.nan
    other = frame(RNA, "r")
    other.loc[other.id == "p02", "r1"] = np.nan
    recipe = table_recipe(impute="median")
    one, first, _ = read(write_tables(tmp_path / "one", rna=gaps), recipe)
    two, second, _ = read(write_tables(tmp_path / "two", rna=other), recipe)
    for key in ("offset", "scale", "fill"):
        np.testing.assert_array_equal(
            one.modalities["rna"].preprocessing[key], two.modalities["rna"].preprocessing[key]
        )
    np.testing.assert_array_equal(first.values["rna"][:20], second.values["rna"][:20])
    assert not np.allclose(first.values["rna"][20:], second.values["rna"][20:])


def as_tsv_gz(folder, table):
    table.to_csv(folder / "rna.tsv.gz", sep="\t", index=False)
    return {"files": "rna.tsv.gz", "id": "id"}


def as_semicolons(folder, table):
    table.to_csv(folder / "rna.csv", sep=";", index=False)
    return {"files": "rna.csv", "id": "id"}


def as_npz(folder, table):
    np.savez(folder / "rna.npz", expression=RNA, names=table.id.to_numpy(str), other=np.zeros((2, 2)))
    return {"files": "rna.npz", "key": "expression", "id": "names"}


def as_h5ad(folder, table):
    data = anndata.AnnData(np.zeros((ROWS, 3), dtype=np.float32), obs=table.set_index("id")[[]])
    data.X = scipy.sparse.csr_matrix(RNA)
    data.layers["counts"] = RNA
    data.obsm["pca"] = RNA
    data.obs["batch"] = "b"
    for name in ("r0", "r1", "r2"):
        data.obs[name] = table[name].to_numpy()
    data.write_h5ad(folder / "rna.h5ad")
    return {"files": "rna.h5ad"}


def as_layer(folder, table):
    return {**as_h5ad(folder, table), "key": "layers/counts"}


def as_obsm(folder, table):
    return {**as_h5ad(folder, table), "key": "obsm/pca"}


def as_obs(folder, table):
    return {**as_h5ad(folder, table), "key": "obs"}


def as_h5mu(folder, table):
    as_h5ad(folder, table)
    rna = anndata.read_h5ad(folder / "rna.h5ad")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # mudata announces its next version
        mudata.MuData({"gex": rna, "atac": rna[:, :1].copy()}).write_h5mu(folder / "both.h5mu")
    return {"files": "both.h5mu", "key": "gex"}


def as_raw(folder, table):
    options = as_h5ad(folder, table)
    data = anndata.read_h5ad(folder / "rna.h5ad")
    data.raw = data
    data[:, :1].write_h5ad(folder / "rna.h5ad")
    return {**options, "key": "raw"}


def as_parquet(folder, table):
    table.assign(note="x").to_parquet(folder / "rna.parquet")
    return {"files": "rna.parquet", "id": "id"}


def as_parquet_index(folder, table):
    table.set_index("id").to_parquet(folder / "rna.pq")
    return {"files": "rna.pq", "id": "id"}


def as_xlsx(folder, table):
    with pd.ExcelWriter(folder / "rna.xlsx") as book:
        pd.DataFrame({"title": ["measured in spring"]}).to_excel(book, sheet_name="about", index=False)
        table.to_excel(book, sheet_name="data", index=False)
    return {"files": "rna.xlsx", "sheet": "data", "id": "id"}


def as_mat(folder, table):
    ids = np.array(table.id, dtype=object)[:, np.newaxis]
    scipy.io.savemat(folder / "rna.mat", {"expression": RNA, "names": ids, "age": np.zeros((ROWS, 1))})
    return {"files": "rna.mat", "id": "names"}


def as_mat_sparse(folder, table):
    ids = np.array(table.id, dtype=object)[:, np.newaxis]
    scipy.io.savemat(folder / "rna.mat", {"x": scipy.sparse.csc_matrix(RNA), "names": ids, "other": np.zeros((2, 2))})
    return {"files": "rna.mat", "key": "x", "id": "names"}


def as_mat_of_version_7_3(folder, table):
    """As MATLAB lays such a file out: transposed, text as 16-bit codes, cells as references."""
    path = folder / "rna.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("expression", data=RNA.T).attrs["MATLAB_class"] = np.bytes_("double")
        cells = file.create_dataset("names", (1, ROWS), dtype=h5py.ref_dtype)
        cells.attrs["MATLAB_class"] = np.bytes_("cell")
        for row, one in enumerate(table.id):
            text = file.create_dataset(
                f"#refs#/{row}", data=np.array([[ord(letter)] for letter in one], dtype=np.uint16)
            )
            text.attrs["MATLAB_class"] = np.bytes_("char")
            cells[0, row] = text.ref
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")
    return {"files": "rna.mat", "key": "expression", "id": "names"}


def as_decimal_comma(folder, table):
    table.assign(note="a").to_csv(folder / "rna.csv", sep=";", decimal=",", index=False)
    return {"files": "rna.csv", "id": "id", "decimal": ","}


def as_decimal_comma_in_quotes(folder, table):
    table.to_csv(folder / "rna.csv", decimal=",", index=False, quoting=2)
    return {"files": "rna.csv", "id": "id", "decimal": ","}


def with_thousands(number: float) -> str:
    return f"{number:,.12f}".translate(str.maketrans(",.", ".,"))


def as_thousands(folder, table):
    scaled = table.assign(**{name: (table[name] * 1e4).map(with_thousands) for name in ("r0", "r1", "r2")})
    scaled.to_csv(folder / "rna.csv", sep=";", index=False)
    return {"files": "rna.csv", "id": "id", "decimal": ",", "thousands": "."}


def as_text_in_xlsx(folder, table):
    scaled = table.assign(r1=(table.r1 * 1e4).map(with_thousands))
    scaled.to_excel(folder / "rna.xlsx", index=False)
    return {"files": "rna.xlsx", "id": "id", "decimal": ",", "thousands": "."}


FORMATS = [as_tsv_gz, as_semicolons, as_npz, as_h5ad, as_layer, as_obsm, as_obs, as_h5mu, as_raw, as_parquet]
FORMATS += [as_parquet_index, as_xlsx, as_mat, as_mat_sparse, as_mat_of_version_7_3, as_decimal_comma]
FORMATS += [as_decimal_comma_in_quotes, as_thousands, as_text_in_xlsx]


@pytest.mark.parametrize("write", FORMATS, ids=lambda f: f.__name__)
def test_every_format_gives_the_same_numbers(tmp_path, write):
    write_tables(tmp_path)
    options = write(tmp_path, frame(RNA, "r"))
    recipe = table_recipe(tables={"rna": options, "protein": {"files": "protein.csv", "id": "id"}})
    _, block, _ = read(tmp_path, recipe)
    np.testing.assert_allclose(block.values["rna"], expected(), rtol=1e-4, atol=1e-5)


def test_labels_groups_and_split_may_stand_in_h5ad_or_npz(tmp_path):
    write_tables(tmp_path)
    labels = label_frame()
    data = anndata.AnnData(np.zeros((ROWS, 1), dtype=np.float32), obs=labels.set_index("id"))
    data.write_h5ad(tmp_path / "labels.h5ad")
    np.savez(tmp_path / "labels.npz", **{name: labels[name].to_numpy(str) for name in ("id", "y", "split")})
    plans = [
        read(tmp_path, table_recipe(labels={"column": "y", "split": "split", **options}))[0]
        for options in ({"files": "labels.h5ad"}, {"files": "labels.npz", "id": "id"})
    ]
    assert plans[0].ids == plans[1].ids == read(tmp_path)[0].ids


def test_one_file_with_everything_is_divided_by_patterns_and_labels_are_no_features(tmp_path):
    whole = frame(RNA, "rna_").merge(frame(numbers(2, 1), "age_"), on="id").merge(label_frame(), on="id")
    whole.to_csv(tmp_path / "all.csv", index=False)
    recipe = table_recipe(
        "regression",
        tables={
            "rna": {"files": "all.csv", "id": "id", "columns": ["rna_*"]},
            "rest": {"files": "all.csv", "id": "id", "columns": ["age*"]},
        },
        labels={"files": "all.csv", "id": "id", "column": "age", "split": "split"},
    )
    plan, block, _ = read(tmp_path, recipe)
    assert plan.modalities["rna"].features == ["rna_0", "rna_1", "rna_2"]
    assert plan.modalities["rest"].features == ["age_0", "age_1"]
    np.testing.assert_allclose(block.labels, np.hstack([whole.age[TRAIN], whole.age[~TRAIN]]))


def test_without_patterns_columns_of_text_are_left_out_and_mentioned(tmp_path):
    table = frame(RNA, "r")
    table["remark"] = "fine"
    plan, _, source = read(write_tables(tmp_path, rna=table))
    assert plan.modalities["rna"].shape == (3,)
    assert any("remark" in warning for warning in source.warnings)


def test_samples_without_a_modality_are_kept_masked_and_zero(tmp_path):
    table = frame(RNA, "r")
    table.loc[table.id == "p03", ["r0", "r1", "r2"]] = np.nan
    table = table[table.id != "p02"]
    plan, block, source = read(write_tables(tmp_path, rna=table))
    assert block.present["rna"].tolist() == [False, False] + [True] * 38
    assert block.present["protein"].all()
    assert not block.values["rna"][:2].any()
    fitted = RNA[TRAIN][2:]
    np.testing.assert_allclose(plan.modalities["rna"].preprocessing["scale"], fitted.std(0))
    assert plan.facts["missing"] == {"rna": 2}
    assert any("2 samples without rna" in warning for warning in source.warnings)


def test_samples_without_a_label_are_left_out_and_counted(tmp_path):
    labels = label_frame()
    labels.loc[labels.id == "p02", "y"] = "NA"
    plan, _, source = read(write_tables(tmp_path, labels=labels[labels.id != "p03"]))
    assert len(plan.ids) == 38
    assert "p02" not in plan.ids
    assert plan.facts["dropped_rows"]["rows of rna without a label"] == 2
    assert any("left out" in warning for warning in source.warnings)


def test_ids_keep_their_leading_zeros_and_join_in_any_order(tmp_path):
    ids = [f"{row:03d}" for row in range(ROWS)]
    labels = label_frame()
    labels["id"] = ids
    shuffled = frame(RNA, "r", ids).sample(frac=1.0, random_state=0)
    plan, block, _ = read(write_tables(tmp_path, shuffled, frame(numbers(2, 1), "q", ids), labels))
    assert plan.ids[0] == "002"
    np.testing.assert_allclose(block.values["rna"], expected(), rtol=1e-5, atol=1e-6)


def test_tables_without_header_or_ids_are_joined_by_row_from_one_file_per_split(tmp_path):
    y = label_frame().y
    for name, rows in (("tr", TRAIN), ("te", ~TRAIN)):
        np.savetxt(tmp_path / f"r_{name}.csv", RNA[rows], delimiter=",")
        with gzip.open(tmp_path / f"q_{name}.csv.gz", "wt") as file:
            np.savetxt(file, numbers(2, 1)[rows], delimiter=",")
        y[rows].to_csv(tmp_path / f"y_{name}.csv", index=False, header=False)
    (tmp_path / "names.txt").write_text("A\nB\nC\n")
    recipe = table_recipe(
        join="row",
        tables={
            "rna": {"files": {"train": "r_tr.csv", "test": "r_te.csv"}, "header": False, "feature_names": "names.txt"},
            "protein": {"files": {"train": "q_tr.csv.gz", "test": "q_te.csv.gz"}, "header": False},
        },
        labels={"files": {"train": "y_tr.csv", "test": "y_te.csv"}, "header": False, "column": 0},
    )
    plan, block, source = read(tmp_path, recipe)
    np.testing.assert_allclose(block.values["rna"], expected(), rtol=1e-5, atol=1e-6)
    assert plan.modalities["rna"].features == ["A", "B", "C"]
    assert plan.modalities["protein"].features is None
    assert plan.ids[0] == "r0000000"
    assert set(source.files()) == {
        "r_tr.csv", "r_te.csv", "q_tr.csv.gz", "q_te.csv.gz", "y_tr.csv", "y_te.csv", "names.txt"
    }  # fmt: skip


def test_whole_numbers_are_classes_in_order_of_size_however_they_are_written(tmp_path):
    labels = label_frame()
    labels["y"] = [["10", "2.0", "9.000e+00"][row % 3] for row in range(ROWS)]
    plan, block, _ = read(write_tables(tmp_path, labels=labels))
    assert plan.classes == ["2", "9", "10"]
    assert set(block.labels) == {0.0, 1.0, 2.0}


@pytest.mark.parametrize("by", ["random", "stratified", "group"])
def test_a_made_split_comes_from_the_seed_and_has_the_shares_asked_for(tmp_path, by):
    write_tables(tmp_path)
    labels = {"files": "labels.csv", "id": "id", "column": "y"} | ({"group": "patient"} if by == "group" else {})
    splits = [
        read(tmp_path, table_recipe(seed=seed, labels=labels, split={"by": by, "test": 0.25, "validation": 0.2}))[0]
        for seed in (0, 0, 1)
    ]
    assert np.abs(np.bincount(splits[0].split) - [24, 6, 10]).max() <= 2
    assert splits[0].ids == splits[1].ids
    assert splits[0].ids != splits[2].ids


def test_a_stratified_split_keeps_the_share_of_every_class(tmp_path):
    labels = label_frame()
    labels["y"] = ["rare" if row < 8 else "common" for row in range(ROWS)]
    recipe = table_recipe(
        labels={"files": "labels.csv", "id": "id", "column": "y"}, split={"by": "stratified", "test": 0.25}
    )
    plan, block, _ = read(write_tables(tmp_path, labels=labels), recipe)
    rare = block.labels == plan.classes.index("rare")
    assert np.bincount(plan.split[rare]).tolist() == [6, 0, 2]
    assert np.bincount(plan.split[~rare]).tolist() == [24, 0, 8]


@pytest.mark.parametrize("by", ["random", "stratified", "group"])
def test_no_group_is_ever_cut(tmp_path, by):
    labels = {"files": "labels.csv", "id": "id", "column": "y", "group": "patient"}
    recipe = table_recipe(labels=labels, split={"by": by, "test": 0.3, "validation": 0.3})
    plan, _, _ = read(write_tables(tmp_path), recipe)
    sides: dict[str, set[int]] = {}
    for group, code in zip(plan.groups, plan.split.tolist(), strict=True):
        sides.setdefault(group, set()).add(code)
    assert all(len(side) == 1 for side in sides.values())
    assert set(plan.split.tolist()) == {0, 1, 2}


def test_validation_is_carved_out_of_a_given_training_split_only(tmp_path):
    plan, _, _ = read(write_tables(tmp_path), table_recipe(split={"validation": 0.25}))
    assert np.bincount(plan.split).tolist() == [15, 5, 20] or np.bincount(plan.split).tolist() == [16, 4, 20]
    assert set(plan.ids[20:]) == {f"p{row:02d}" for row in range(ROWS) if not TRAIN[row]}


def test_split_values_may_be_named_otherwise(tmp_path):
    labels = label_frame()
    labels["split"] = ["dev" if row == 2 else ["fit", "exam"][side == "test"] for row, side in enumerate(labels.split)]
    names = {"dev": "validation", "fit": "train", "exam": "test"}
    plan, _, _ = read(write_tables(tmp_path, labels=labels), table_recipe(split={"names": names}))
    assert np.bincount(plan.split).tolist() == [19, 1, 20]


@pytest.mark.parametrize(("impute", "fill"), [("mean", 5.0), ("median", 4.0), ("zero", 0.0)])
def test_missing_values_are_filled_from_training_rows(tmp_path, impute, fill):
    table = frame(RNA, "r")
    train = np.flatnonzero(TRAIN)
    table.loc[train, "r0"] = np.nan
    table.loc[train[:3], "r0"] = [3.0, 4.0, 8.0]
    plan, block, _ = read(write_tables(tmp_path, rna=table), table_recipe(impute=impute, standardise="none"))
    assert plan.modalities["rna"].preprocessing["fill"][0] == fill
    assert np.all(block.values["rna"][3:20, 0] == fill)


def test_minmax_maps_training_rows_to_the_unit_interval(tmp_path):
    _, block, _ = read(write_tables(tmp_path), table_recipe(standardise="minmax"))
    assert block.values["rna"][:20].min(0).tolist() == [0, 0, 0]
    np.testing.assert_allclose(block.values["rna"][:20].max(0), 1)


@pytest.mark.parametrize("section", ["zscore", "block"])
def test_a_block_keeps_the_ratio_of_its_features_deviations(tmp_path, section):
    table = frame(RNA * [1.0, 5.0, 20.0], "r")
    own = {"standardise": "block"} if section == "zscore" else {}
    tables = {"rna": {"files": "rna.csv", "id": "id", **own}, "protein": {"files": "protein.csv", "id": "id"}}
    _, block, _ = read(write_tables(tmp_path, rna=table), table_recipe(tables=tables, standardise=section))
    own, before = block.values["rna"][:20], (RNA * [1.0, 5.0, 20.0])[TRAIN]
    np.testing.assert_allclose(own.mean(0), 0, atol=1e-5)
    np.testing.assert_allclose(own.var(0).mean(), 1, rtol=1e-5)
    np.testing.assert_allclose(own.std(0) / own.std(0)[0], before.std(0) / before.std(0)[0], rtol=1e-4)
    other = block.values["protein"][:20].std(0)
    assert (np.ptp(other) < 1e-4) == (section == "zscore")


@pytest.mark.parametrize(("policy", "width"), [("drop", 2), ("keep", 3)])
def test_constant_columns_are_dropped_or_kept_as_zeros(tmp_path, policy, width):
    table = frame(RNA, "r")
    table.loc[TRAIN, "r1"] = 7.0
    options = {} if policy == "drop" else {"constant": policy}
    plan, block, source = read(write_tables(tmp_path, rna=table), table_recipe(**options))
    assert plan.modalities["rna"].shape == (width,)
    if policy == "drop":
        assert plan.modalities["rna"].preprocessing["kept"].tolist() == [0, 2]
        assert plan.modalities["rna"].features == ["r0", "r2"]
        assert plan.facts["dropped_columns"] == {"rna": 1}
        assert source.warnings == ["1 column of rna constant in the training split: dropped (r1)"]
    else:
        assert not block.values["rna"][:20, 1].any()


def test_rosmap_as_published():
    folder = real_data("rosmap")
    recipe = recipe_model().model_validate(yaml.safe_load((REPOSITORY / "recipes" / "rosmap.yaml").read_text()))
    plan, block, source = read(folder, recipe)
    assert np.bincount(plan.split).tolist() == [245, 0, 106]
    raw = pd.read_csv(folder / "2_tr.csv.gz", header=None).to_numpy()
    np.testing.assert_allclose(block.values["methylation"][:245], (raw - raw.mean(0)) / raw.std(0), atol=1e-4)
    np.testing.assert_array_equal(block.labels[245:], np.loadtxt(folder / "labels_te.csv"))
    assert plan.modalities["mirna"].features[0] == "hsa-let-7b"
    assert source.warnings == []


def test_cmu_mosi_features_as_published():
    folder = real_data("cmu_mosi")
    text = (REPOSITORY / "recipes" / "cmu-mosi-features.yaml").read_text()
    plan, block, _ = read(folder, recipe_model().model_validate(yaml.safe_load(text)))
    assert np.bincount(plan.split).tolist() == [1447, 0, 752]
    assert [modality.shape[0] for modality in plan.modalities.values()] == [100, 73, 68]
    assert not set(plan.groups[:1447]) & set(plan.groups[1447:])
    assert block.labels.min() >= -3
    assert block.labels.max() <= 3
    archive = np.load(folder / "features.npz")
    place = archive["utterance_id"].tolist().index(plan.ids[-1])
    fitted = plan.modalities["audio"].preprocessing
    np.testing.assert_allclose(
        block.values["audio"][-1], (archive["audio"][place] - fitted["offset"]) / fitted["scale"], rtol=1e-3, atol=1e-5
    )


def test_groups_too_large_for_the_share_are_held_out_all_the_same(tmp_path):
    labels = label_frame()
    labels["patient"] = ["a"] * 12 + ["b"] * 16 + ["c"] * 12
    options = {"files": "labels.csv", "id": "id", "column": "y", "group": "patient"}
    plan, _, _ = read(
        write_tables(tmp_path, labels=labels), table_recipe(labels=options, split={"by": "group", "test": 0.1})
    )
    assert np.bincount(plan.split).tolist() == [28, 0, 12]


def test_the_split_may_come_from_the_files_of_the_tables(tmp_path):
    write_tables(tmp_path)
    table = frame(RNA, "r")
    table[TRAIN].to_csv(tmp_path / "fit.csv", index=False)
    table[~TRAIN].to_csv(tmp_path / "exam.csv", index=False)
    tables = {
        "rna": {"files": {"train": "fit.csv", "test": "exam.csv"}, "id": "id"},
        "protein": {"files": "protein.csv", "id": "id"},
    }
    options = {"files": "labels.csv", "id": "id", "column": "y"}
    plan, _, _ = read(tmp_path, table_recipe(tables=tables, labels=options))
    assert plan.ids == read(tmp_path)[0].ids
    made, _, source = read(tmp_path, table_recipe(tables=tables, labels=options, split={"by": "random"}))
    assert made.ids != plan.ids
    assert any("not used" in warning for warning in source.warnings)


def test_values_are_stratified_by_quantile(tmp_path):
    options = {"files": "labels.csv", "id": "id", "column": "age"}
    recipe = table_recipe("regression", labels=options, split={"by": "stratified", "test": 0.25})
    _, block, _ = read(write_tables(tmp_path), recipe)
    test = np.sort(block.labels[30:])
    assert len(test) == 10
    assert np.all(np.searchsorted(np.quantile(block.labels, np.linspace(0, 1, 11)[1:-1]), test) == np.arange(10))


def test_a_file_is_found_compressed_or_not(tmp_path):
    plan, block, _ = read(write_tables(tmp_path))
    (tmp_path / "rna.csv.gz").write_bytes(gzip.compress((tmp_path / "rna.csv").read_bytes()))
    (tmp_path / "rna.csv").unlink()
    again, same, _ = read(tmp_path)
    assert again.ids == plan.ids
    np.testing.assert_array_equal(same.values["rna"], block.values["rna"])


def test_two_files_of_one_name_in_two_folders_are_both_on_record(tmp_path):
    for name in ("r", "d"):
        (tmp_path / name).mkdir()
    write_tables(tmp_path, frame(numbers(3), "r"))
    recipe = table_recipe()
    tables = recipe.data.tables
    for number, (name, options) in enumerate(tables.items()):
        folder = tmp_path / "rd"[number % 2]
        target = folder / "values.csv"
        target.write_bytes((tmp_path / options.files).read_bytes() + b"\n" * number)
        tables[name] = options.model_copy(update={"files": str(target)})
    found = TablesSource(recipe, tmp_path).files()
    assert {"r/values.csv", "d/values.csv"} <= set(found)
    assert len(set(found.values())) == len(tables) + 1
    assert not any(str(tmp_path) in name for name in found)
