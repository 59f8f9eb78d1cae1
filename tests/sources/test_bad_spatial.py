"""Sections that cannot be used: each refusal says what is wrong, where, and what to do."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from pydantic import ValidationError
from spatial_data import (
    ANOMALOUS,
    GENES,
    array,
    counts,
    h5ad,
    legacy,
    picture,
    pixels,
    recipe,
    save_picture,
    source,
    space_ranger,
)

from omib_cli.errors import DataError, RecipeError

ONE = {"T1": {"split": "train"}}
VISIUM = {"layout": "space-ranger"}


def refusal(one) -> str:
    """What the source says when it refuses, all of it."""
    with pytest.raises(DataError) as caught:
        _prepare(one)
    assert caught.value.where
    return str(caught.value)


def _prepare(one) -> None:
    one.files()
    one.block(0, len(one.plan().ids))


def contains(message: str, *parts: str) -> None:
    for part in parts:
        assert part in message, message


def test_a_missing_file_is_named_with_its_neighbours(tmp_path):
    legacy(tmp_path, "T2")
    contains(refusal(source(tmp_path, ONE)), "no file of counts 'T1.tsv.gz'", "T2.tsv.gz", "did you mean")


def test_a_missing_image_is_named(tmp_path):
    legacy(tmp_path, "T1")
    contains(refusal(source(tmp_path, ONE, ("image",), files={"layout": "legacy", "image": "T1.png"})), "no image")


def test_no_image_at_all_says_how_to_name_one(tmp_path):
    legacy(tmp_path, "T1")
    contains(refusal(source(tmp_path, ONE, ("image",))), "no section has an image", "data.files.image")


@pytest.mark.parametrize(("value", "word"), [(-1, "negative"), (2.5, "fractional"), ("nan", "missing")])
def test_what_are_no_raw_counts_is_refused_with_its_place(tmp_path, value, word):
    values = counts().astype(object)
    values[3, 5] = value
    message = refusal(source(legacy(tmp_path, "T1", counts=values), ONE))
    contains(message, word, "counts/T1.tsv.gz", "spot 4", "'G5'", "raw counts")


def test_normalised_values_in_h5ad_are_refused_with_a_way_out(tmp_path):
    h5ad(tmp_path / "T1.h5ad", counts=np.log1p(counts()))
    contains(refusal(source(tmp_path, ONE, files={"layout": "h5ad"})), "fractional", "layer")


def test_genes_that_occur_twice_are_named(tmp_path):
    legacy(tmp_path, "T1", genes=["G1", "G1", *GENES[2:]])
    contains(refusal(source(tmp_path, ONE)), "1 gene name more than once", "'G1'", "counts/T1.tsv.gz")


def test_genes_that_occur_twice_in_h5ad_are_named(tmp_path):
    h5ad(tmp_path / "T1.h5ad", var_names=["A", "A", *GENES[2:]])
    contains(refusal(source(tmp_path, ONE, files={"layout": "h5ad"})), "'A'", "`genes`")


def test_spots_without_a_position_are_named(tmp_path):
    positions = [(*one, *other) for one, other in zip(array()[2:], pixels()[2:], strict=True)]
    message = refusal(source(legacy(tmp_path, "T1", positions=positions), ONE))
    contains(message, "2 spots of the counts without a position", "36 spots", "34 positions", "2x2, 2x3")


def test_barcodes_without_a_position_are_named(tmp_path):
    space_ranger(tmp_path / "T1", positions=30)
    contains(refusal(source(tmp_path, ONE, files=VISIUM)), "5 spots of the counts", "AAAC0030-1", "`spatial`")


def test_a_matrix_that_does_not_fit_its_barcodes_is_refused(tmp_path):
    space_ranger(tmp_path / "T1", barcodes=33)
    contains(refusal(source(tmp_path, ONE, files=VISIUM)), "35 spots", "33 barcodes")


def test_a_damaged_matrix_is_refused(tmp_path):
    matrix = space_ranger(tmp_path / "T1") / "filtered_feature_bc_matrix" / "matrix.mtx.gz"
    matrix.write_bytes(matrix.read_bytes()[:200])
    contains(refusal(source(tmp_path, ONE, files=VISIUM)), "T1/filtered_feature_bc_matrix/matrix.mtx.gz")
    with gzip.open(matrix, "wt") as file:
        file.write("no matrix\n")
    contains(refusal(source(tmp_path, ONE, files=VISIUM)), "no Matrix Market file")


def test_a_damaged_h5_matrix_is_refused(tmp_path):
    space_ranger(tmp_path / "T1", h5=True)
    (tmp_path / "T1" / "filtered_feature_bc_matrix.h5").write_bytes(b"nothing")
    contains(refusal(source(tmp_path, ONE, files=VISIUM)), "no 10x HDF5 matrix")


def test_scale_factors_without_the_image_are_refused(tmp_path):
    (space_ranger(tmp_path / "T1") / "spatial" / "scalefactors_json.json").write_text("{}")
    contains(refusal(source(tmp_path, ONE, files=VISIUM)), "tissue_hires_scalef")


def test_spots_outside_the_image_are_counted_and_named(tmp_path):
    legacy(tmp_path, "T1")
    save_picture(tmp_path / "T1.png", picture(120, 180))
    message = refusal(source(tmp_path, ONE, ("image",), files={"layout": "legacy", "image": "T1.png"}))
    contains(message, "12 spots of 36 outside the image", "120 x 180", "6x2", "full_width")


@pytest.mark.parametrize("name", ["T1.png", "T1.tif", "T1.jpg"])
def test_what_is_no_image_is_refused(tmp_path, name):
    legacy(tmp_path, "T1")
    (tmp_path / name).write_bytes(b"nothing at all")
    contains(refusal(source(tmp_path, ONE, ("image",), files={"layout": "legacy", "image": name})), "cannot be read")


@pytest.mark.parametrize("name", ["T1.png", "T1.jpg"])
def test_a_truncated_image_is_refused(tmp_path, name):
    legacy(tmp_path, "T1")
    path = save_picture(tmp_path / name, np.random.default_rng(0).integers(0, 255, (180, 200, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[:4000])
    contains(refusal(source(tmp_path, ONE, ("image",), files={"layout": "legacy", "image": name})), "cannot be read")


def test_a_tiff_that_is_not_rgb_is_refused(tmp_path):
    import tifffile

    legacy(tmp_path, "T1")
    tifffile.imwrite(tmp_path / "T1.tif", np.zeros((180, 200), dtype=np.uint16))
    contains(refusal(source(tmp_path, ONE, ("image",), files={"layout": "legacy", "image": "T1.tif"})), "no RGB image")


def test_an_image_too_large_for_one_piece_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("omib_cli.sources.spatial.images.MOST_BYTES", 1000)
    legacy(tmp_path, "T1")
    save_picture(tmp_path / "T1.png", picture())
    message = refusal(source(tmp_path, ONE, ("image",), files={"layout": "legacy", "image": "T1.png"}))
    contains(message, "too large", "tiled TIFF")


def test_a_training_section_of_anomalies_alone_is_refused(tmp_path):
    legacy(tmp_path, "T1", labels=["cancer"] * 36)
    contains(refusal(source(tmp_path, ONE, labels=ANOMALOUS)), "without a single normal spot", "section T1")


def test_labelled_anomalies_are_refused_where_every_spot_is_to_be_used(tmp_path):
    legacy(tmp_path, "T1", labels=["cancer", "fat"] * 18)
    message = refusal(source(tmp_path, ONE, labels=ANOMALOUS, train_on="all"))
    contains(message, "18 labelled anomalies in the train split", "train_on: normal")


def test_an_anomalous_label_that_no_spot_has_is_refused(tmp_path):
    legacy(tmp_path, "T1", labels=["cancer", "fat"] * 18)
    message = refusal(source(tmp_path, ONE, labels={**ANOMALOUS, "anomalous": ["cancr"]}))
    contains(message, "no label 'cancr'", "did you mean 'cancer'?")


def test_a_section_that_the_label_table_does_not_know_is_refused(tmp_path):
    legacy(tmp_path, "T1")
    (tmp_path / "all.csv").write_text("section,spot,label\nT2,2x2,fat\n")
    labels = {"file": "all.csv", "section": "section", "spot": "spot"}
    contains(refusal(source(tmp_path, ONE, labels=labels)), "no section 'T1'", "all.csv", "T2")


def test_a_label_table_of_other_spots_is_refused(tmp_path):
    legacy(tmp_path, "T1")
    (tmp_path / "T1.csv").write_text("spot,label\nA,fat\n")
    contains(refusal(source(tmp_path, ONE, labels={"file": "T1.csv", "spot": "spot"})), "fits a spot", "'A'", "'2x2'")


def test_a_spot_with_two_labels_is_refused(tmp_path):
    legacy(tmp_path, "T1")
    (tmp_path / "T1.csv").write_text("spot,label\n2x2,fat\n2x2,cancer\n")
    contains(refusal(source(tmp_path, ONE, labels={"file": "T1.csv", "spot": "spot"})), "two labels", "2x2")


def test_sections_without_a_common_gene_are_refused(tmp_path):
    legacy(tmp_path, "T1")
    legacy(tmp_path, "S1", genes=[f"H{number}" for number in range(len(GENES))])
    contains(refusal(source(tmp_path, {**ONE, "S1": {"split": "test"}})), "no gene in common", "G0", "H0")


def test_classes_without_any_label_are_refused(tmp_path):
    contains(refusal(source(legacy(tmp_path, "T1"), ONE, task="classification")), "no spot has a label")


def test_more_components_than_spots_are_refused(tmp_path):
    legacy(tmp_path, "T1")
    with pytest.raises(DataError, match="more principal components"):
        source(tmp_path, ONE, features={"genes": {"feature": "genes", "components": 40}}).plan()


def test_a_patient_on_two_sides_is_a_mistake_of_the_recipe():
    sections = {"A1": {"split": "train", "patient": "A"}, "A2": {"split": "test", "patient": "A"}}
    with pytest.raises(ValidationError, match="patient 'A' is on two sides"):
        recipe(sections)


def test_sections_without_one_for_training_are_a_mistake_of_the_recipe():
    with pytest.raises(ValidationError, match="none of them is for training"):
        recipe({"A1": {"split": "test"}})


def test_a_modality_made_of_nothing_and_a_task_without_labels_are_told_together(tmp_path):
    with pytest.raises(RecipeError) as caught:
        source(tmp_path, ONE, ("protein",), task="regression", features={"genes": {"feature": "genes"}})
    contains(str(caught.value), "modalities.protein", "data.features.genes", "task.kind")
