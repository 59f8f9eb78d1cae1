"""Sections that cannot be used: each refusal says what is wrong, where, and what to do."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from pydantic import ValidationError
from spatial_data import (
    ANOMALOUS,
    GENES,
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
from spatial_data import array as spot_array

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
    positions = [(*one, *other) for one, other in zip(spot_array()[2:], pixels()[2:], strict=True)]
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


def test_sections_without_one_for_training_are_a_mistake_of_the_recipe(tmp_path):
    with pytest.raises(RecipeError, match="none of them is for training"):
        source(legacy(tmp_path, "A1"), {"A1": {"split": "test"}}).plan()


def test_a_modality_made_of_nothing_and_a_task_without_labels_are_told_together(tmp_path):
    with pytest.raises(RecipeError) as caught:
        source(tmp_path, ONE, ("protein",), task="regression", features={"genes": {"feature": "genes"}})
    contains(str(caught.value), "modalities.protein", "data.features.genes", "task.kind")


TWO = {"A": {"split": "train"}, "B": {"split": "test"}}


def test_one_file_for_two_sections_is_refused_in_every_layout(tmp_path):
    h5ad(tmp_path / "all.h5ad")
    contains(refusal(source(tmp_path, TWO, files={"layout": "h5ad", "file": "all.h5ad"})), "section A", "same file")
    (tmp_path / "B.h5ad").symlink_to(h5ad(tmp_path / "A.h5ad"))
    contains(refusal(source(tmp_path, TWO, files={"layout": "h5ad"})), "section B", "same file")
    space_ranger(tmp_path / "slide")
    contains(refusal(source(tmp_path, TWO, files={**VISIUM, "folder": "slide"})), "same file")
    legacy(tmp_path, "A", 1)
    legacy(tmp_path, "B", 2)
    one = {"layout": "legacy", "spots": "spots/A_selection.tsv"}
    contains(refusal(source(tmp_path, TWO, files=one)), "spots/A_selection.tsv", "same file")


def test_a_copy_of_a_section_under_another_name_is_said(tmp_path):
    h5ad(tmp_path / "A.h5ad")
    legacy(tmp_path, "B", genes=GENES[::-1], counts=counts()[::-1, ::-1])  # the same spots in another order and layout
    sections = {"A": {"split": "train", "files": {"layout": "h5ad", "genes": "feature_name"}}, "B": {"split": "test"}}
    one = source(tmp_path, sections)
    one.plan()
    assert any("36 of 36 spots of section B have the counts of spots of section A" in line for line in one.warnings)


def test_one_table_of_labels_for_all_sections_is_refused_without_a_column_of_sections(tmp_path):
    for name in TWO:
        legacy(tmp_path, name, len(tmp_path.name) + ord(name))
    (tmp_path / "all.csv").write_text("spot,label,section\n2x2,fat,A\n2x3,cancer,A\n2x2,fat,B\n2x3,cancer,B\n")
    labels = {"file": "all.csv", "spot": "spot", "anomalous": ["cancer"]}
    contains(
        refusal(source(tmp_path, TWO, labels=labels)), "section A and section B read the same file", "labels.section"
    )
    few = {"min_spots": 1, "top_genes": 20}
    plan = source(tmp_path, {"A": {"split": "train"}}, labels=labels, expression=few).plan()
    assert plan.facts["sections"]["A"]["normal"] == 1
    (tmp_path / "two.csv").write_text("spot,label,section\n2x2,fat,A\n2x2,cancer,B\n")
    labels |= {"file": "two.csv", "section": "section"}
    facts = source(tmp_path, TWO, labels=labels, expression=few).plan().facts["sections"]
    assert (facts["A"]["normal"], facts["B"]["anomalous"]) == (1, 1)


def test_a_class_that_training_never_sees_is_refused(tmp_path):
    for seed, (name, label) in enumerate({"A": "in situ", "B": "invasive"}.items()):
        legacy(tmp_path, name, seed, labels=["fat", label] * 18)
    message = refusal(source(tmp_path, TWO, task="classification", labels={"file": "labels/{section}.tsv"}))
    contains(message, "not in the training split", "'invasive' (18 samples)")


@pytest.mark.parametrize("task", ["anomaly", "classification"])
@pytest.mark.parametrize("other", ["Cancer", " cancer", "CANCER"])
def test_a_label_in_two_spellings_is_refused_and_never_normal(tmp_path, task, other):
    legacy(tmp_path, "A", 1, labels=["fat", "cancer"] * 18)
    legacy(tmp_path, "B", 2, labels=["fat", other.strip() if other[0] != " " else "can cer"] * 18)
    if other[0] == " ":
        (tmp_path / "labels" / "B.tsv").write_text(
            (tmp_path / "labels" / "B.tsv").read_text().replace("can cer", "Cancer ")
        )
    contains(refusal(source(tmp_path, TWO, task=task, labels=ANOMALOUS)), "written in two ways", "'cancer'")


def test_labels_without_an_anomalous_one_are_refused(tmp_path):
    legacy(tmp_path, "T1", labels=["fat", "cancer"] * 18)
    message = refusal(source(tmp_path, ONE, labels={"file": "labels/{section}.tsv"}))
    contains(message, "which labels mean an anomaly?", "cancer, fat")


@pytest.mark.parametrize("missing", ["#N/A", "None", "n/a", "null", "."])
def test_a_spot_without_a_label_is_never_normal(tmp_path, missing):
    legacy(tmp_path, "T1", 1, labels=["fat", "cancer", missing] * 12)
    one = source(tmp_path, ONE, labels=ANOMALOUS)
    if missing == "None":
        contains(refusal(one), "'none' may be a class")
    else:
        assert one.plan().facts["sections"]["T1"]["normal"] == 12


def test_rows_of_labels_that_name_no_spot_are_refused(tmp_path):
    legacy(tmp_path, "T1")
    (tmp_path / "T1.csv").write_text("spot,label\n2x2,fat\n,cancer\n")
    contains(refusal(source(tmp_path, ONE, labels={"file": "T1.csv", "spot": "spot"})), "rows without a spot", "row 2")


@pytest.mark.parametrize("array", ["shuffled", "skewed"])
@pytest.mark.parametrize("layout", ["legacy", "space-ranger", "h5ad"])
def test_positions_that_contradict_the_array_are_refused(tmp_path, layout, array):
    order = np.random.default_rng(0).permutation(36) if array == "shuffled" else np.arange(36)
    where = pixels()[order] * ((1, 1.3) if array == "skewed" else 1)
    if layout == "legacy":
        legacy(tmp_path, "T1", positions=[(*one, *other) for one, other in zip(spot_array(), where, strict=True)])
    elif layout == "h5ad":
        h5ad(
            tmp_path / "T1.h5ad",
            positions=where,
            obs={"array_row": spot_array()[:, 0], "array_col": spot_array()[:, 1]},
        )
    else:
        table = space_ranger(tmp_path / "T1") / "spatial" / "tissue_positions.csv"
        head, *lines = table.read_text().splitlines()
        ends = [",".join(line.split(",")[-2:]) for line in lines]
        if array == "shuffled":
            ends = [ends[place] for place in order]
        else:
            ends = [f"{float(end.split(',')[0]) * 1.3},{end.split(',')[1]}" for end in ends]
        rows = [",".join([*line.split(",")[:4], end]) for line, end in zip(lines, ends, strict=True)]
        table.write_text("\n".join([head, *rows]) + "\n")
    contains(refusal(source(tmp_path, ONE, files={"layout": layout})), "contradict each other", "same order")


@pytest.mark.parametrize("spots", [1, 3])
def test_spots_in_one_place_are_refused(tmp_path, spots):
    names = [f"{x}x{y}" for x, y in spot_array()[:spots]]
    positions = [(*one, 50.0, 50.0) for one in spot_array()[:spots]]
    legacy(tmp_path, "T1", counts=counts()[:spots], spots=names, positions=positions)
    contains(refusal(source(tmp_path, ONE)), "no distance from each other", "1 places")


@pytest.mark.parametrize("value", ["2", "yes", "", "0.5"])
def test_what_does_not_say_whether_a_spot_is_in_the_tissue_is_refused(tmp_path, value):
    h5ad(tmp_path / "h" / "T1.h5ad", obs={"in_tissue": ["1"] * 35 + [value]})
    contains(refusal(source(tmp_path / "h", ONE, files={"layout": "h5ad"})), "'in_tissue'", "yes or no", repr(value))
    table = space_ranger(tmp_path / "T1") / "spatial" / "tissue_positions.csv"
    table.write_text(table.read_text().replace("-1,1,0,0,", f"-1,{value},0,0,"))
    contains(refusal(source(tmp_path, ONE, files=VISIUM)), "'in_tissue'", repr(value))
    legacy(tmp_path, "T1")
    table = tmp_path / "spots" / "T1_selection.tsv"
    first, *rest = table.read_text().removesuffix("\n").split("\n")
    table.write_text("\n".join([first, rest[0].removesuffix("1") + value, *rest[1:]]) + "\n")
    contains(refusal(source(tmp_path, ONE)), "'selected'", repr(value))


def test_a_section_wholly_outside_the_tissue_is_refused(tmp_path):
    h5ad(tmp_path / "T1.h5ad", obs={"in_tissue": ["0"] * 36})
    contains(refusal(source(tmp_path, ONE, files={"layout": "h5ad"})), "no spot with 'in_tissue' 1")


def test_a_pitch_that_contradicts_space_rangers_scale_is_refused(tmp_path):
    factors = space_ranger(tmp_path / "T1") / "spatial" / "scalefactors_json.json"
    factors.write_text('{"tissue_hires_scalef": 0.5, "microns_per_pixel": 0.4}')  # spots 20 pixels apart
    contains(refusal(source(tmp_path, ONE, files=VISIUM)), "contradicts the scale", "pitch_um: 8")
    source(tmp_path, ONE, files={**VISIUM, "pitch_um": 8.0}).plan()


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_that_would_put_all_spots_in_one_place_is_refused(tmp_path, scale):
    h5ad(tmp_path / "T1.h5ad", libraries={"T1": (picture(), scale)})
    contains(refusal(source(tmp_path, ONE, ("image",), files={"layout": "h5ad"})), "scale factor", "not positive")


def test_several_slides_in_one_file_are_refused_unless_names_tell_which(tmp_path):
    images = {"slide_1": (picture() // 4, 1.0), "slide_2": (picture(), 1.0)}
    h5ad(tmp_path / "T1.h5ad", libraries=images)
    files = {"layout": "h5ad"}
    contains(refusal(source(tmp_path, ONE, ("image",), files=files)), "which slide's image", "slide_1, slide_2")
    source(tmp_path, ONE, ("genes",), files={**files, "image": "none"}).plan()
    h5ad(tmp_path / "T1.h5ad", libraries=images, obs={"library_id": ["slide_1", "slide_2"] * 18})
    contains(refusal(source(tmp_path, ONE, ("image",), files=files)), "spots of one slide")
    h5ad(tmp_path / "T1.h5ad", libraries={"slide_1": images["slide_1"]}, obs={"library_id": ["slide_2"] * 36})
    contains(refusal(source(tmp_path, ONE, ("image",), files=files)), "which slide's image")
    for name, options in (("T1", {"obs": {"library_id": ["slide_2"] * 36}}), ("slide_2", {})):
        h5ad(tmp_path / f"{name}.h5ad", libraries=images, **options)
        one = source(tmp_path, {name: {"split": "train"}}, ("image",), files=files)
        plan = one.plan()
        x, y = (int(place) for place in plan.coordinates[20])
        np.testing.assert_array_equal(one.block(20, 21).values["image"][0, :, 16, 16], picture()[y, x])


def test_two_files_of_positions_or_of_features_are_refused(tmp_path):
    folder = space_ranger(tmp_path / "T1")
    (folder / "spatial" / "tissue_positions_list.csv").write_text("")
    contains(refusal(source(tmp_path, ONE, files=VISIUM)), "several files of positions", "tissue_positions_list.csv")
    (folder / "spatial" / "tissue_positions_list.csv").unlink()
    (folder / "filtered_feature_bc_matrix" / "genes.tsv").write_text("")
    contains(refusal(source(tmp_path, ONE, files=VISIUM)), "both genes.tsv and features.tsv")


@pytest.mark.parametrize("symbol", ["", "NA", "nan"])
def test_a_legacy_gene_without_a_name_is_refused(tmp_path, symbol):
    legacy(tmp_path, "T1", genes=[*GENES[:-1], symbol])
    contains(refusal(source(tmp_path, ONE)), "genes without a name", "column 31")


def test_genes_without_any_symbol_are_refused(tmp_path):
    h5ad(tmp_path / "T1.h5ad", symbols=["NA", ""] * (len(GENES) // 2))
    message = refusal(source(tmp_path, ONE, files={"layout": "h5ad", "genes": "feature_name"}))
    contains(message, "no gene has a symbol")
