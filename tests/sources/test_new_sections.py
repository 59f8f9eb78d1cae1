"""New sections of tissue, prepared with what a model's training sections taught."""

from __future__ import annotations

import numpy as np
import pytest
from spatial_data import ANOMALOUS, GENES, SIDE, counts, h5ad, legacy, picture, recipe, save_picture, space_ranger
from test_new_samples import like, same_rows

from omib_cli.artifacts.prepared import Prepared
from omib_cli.errors import DataError, MismatchError, RecipeError, UsageError
from omib_cli.sources.spatial.source import SpatialSource

EVERYTHING = {
    "genes": {"feature": "genes", "depth": True, "smooth": 3},
    "parts": {"feature": "genes", "components": 4, "whiten": True, "neighbours": 4},
    "depth": {"feature": "depth"},
    "colours": {"feature": "colours", "patch": 8, "components": 3, "smooth": 2},
    "image": {"feature": "image", "patch": 8},
}
SECTIONS = {"T1": {"split": "train"}, "S1": {"split": "test"}}
LABELS = ["cancer" if number % 3 == 0 else "fat" for number in range(SIDE * SIDE)]


def every(source: SpatialSource):
    plan = source.plan()
    return plan, source.block(0, len(plan.ids))


def tissue(folder, *names: str, **changes):
    """Legacy sections with images; the seed is the number in the name."""
    for name in names:
        legacy(folder, name, int(name[1:]) + ord(name[0]), **changes)
        save_picture(folder / f"images/{name}.png", np.roll(picture(), ord(name[0]), axis=1))
    return folder


def trained(folder, features=EVERYTHING, **data):
    """A recipe of all features, and what is known of its two sections."""
    tissue(folder, "T1", "S1", labels=LABELS)
    files = {"layout": "legacy", "image": "images/{section}.png"}
    made = recipe(SECTIONS, tuple(features), features=features, files=files, labels=ANOMALOUS, **data)
    return made, every(SpatialSource(made, folder))


def test_a_section_without_labels_gets_the_values_that_it_has_as_a_test_section(tmp_path):
    made, known = trained(tmp_path / "old")
    new = SpatialSource(made, tissue(tmp_path / "new", "S1"), like(known[0]))
    found = every(new)
    same_rows(known, found)
    assert np.isnan(found[1].labels).all()
    assert found[0].groups == ["S1"] * 36
    assert any("S1: no labels" in warning for warning in new.warnings)
    assert set(new.files()) == {"counts/S1.tsv.gz", "spots/S1_selection.tsv", "images/S1.png"}


def test_sections_are_found_where_the_recipe_says_whatever_they_are_called_and_each_is_predicted_by_itself(tmp_path):
    made, known = trained(tmp_path / "old")
    alone = every(SpatialSource(made, tissue(tmp_path / "one", "N3"), like(known[0])))
    both = every(SpatialSource(made, tissue(tmp_path / "two", "N3", "M4"), like(known[0])))
    assert both[0].groups == ["M4"] * 36 + ["N3"] * 36
    same_rows(both, alone)
    neighbours = both[0].modalities["parts"].neighbours
    assert ((neighbours[36:] >= 36) | (neighbours[36:] == -1)).all()
    assert neighbours[:36].max() < 36


def test_labels_are_there_for_evaluation_and_an_unlabelled_section_does_not_hinder(tmp_path):
    made, known = trained(tmp_path / "old")
    folder = tissue(tmp_path / "new", "N1", labels=LABELS)
    found = every(SpatialSource(made, tissue(folder, "N2"), like(known[0])))
    np.testing.assert_array_equal(found[1].labels[:36], [float(label == "cancer") for label in LABELS])
    assert np.isnan(found[1].labels[36:]).all()
    other = made.model_copy(update={"data": made.data.renamed({}, "none")})
    assert np.isnan(every(SpatialSource(other, folder, like(known[0])))[1].labels).all()
    (folder / "who.tsv").write_text((folder / "labels/N1.tsv").read_text().replace("\tlabel", "\tsaid"))
    named = made.model_copy(update={"data": made.data.renamed({}, "who.tsv:said")})
    (folder / "counts/N2.tsv.gz").unlink()
    assert not np.isnan(every(SpatialSource(named, folder, like(known[0])))[1].labels).any()


def test_a_class_that_the_model_does_not_know_counts_as_unknown(tmp_path):
    tissue(tmp_path / "old", "T1", "S1", labels=LABELS)
    made = recipe(SECTIONS, task="classification", labels=ANOMALOUS)
    known = every(SpatialSource(made, tmp_path / "old"))
    new = SpatialSource(made, tissue(tmp_path / "new", "N1", labels=["bone", *LABELS[1:]]), like(known[0]))
    labels = every(new)[1].labels
    assert np.flatnonzero(np.isnan(labels)).tolist() == [0]
    assert any("'bone' (1 sample)" in warning for warning in new.warnings)


def test_genes_are_matched_by_name(tmp_path):
    made, known = trained(tmp_path / "old")
    order = np.random.default_rng(0).permutation(len(GENES))
    names, values = [GENES[place] for place in order], counts(1 + ord("S"))[:, order]
    extra = np.column_stack([values, np.full(len(values), 9)])
    folder = tissue(tmp_path / "new", "S1", genes=[*names, "new"], counts=extra)
    same_rows(known, every(SpatialSource(made, folder, like(known[0]))))


def test_a_missing_gene_is_refused_by_name_or_has_the_training_mean(tmp_path):
    made, known = trained(tmp_path / "old", {"genes": {"feature": "genes"}})
    lost = known[0].modalities["genes"].features[0]
    kept = [place for place, gene in enumerate(GENES) if gene != lost]
    changes = {"genes": [GENES[place] for place in kept], "counts": counts(5)[:, kept]}
    folder = tissue(tmp_path / "new", "N1", **changes)
    carried = like(known[0])
    with pytest.raises(MismatchError, match="1 feature that the model needs is not here") as caught:
        SpatialSource(made, folder, carried).plan()
    assert lost in str(caught.value)
    allowing = Prepared(carried.path, carried.hash, carried.classes, carried.modalities, 0.1)
    new = SpatialSource(made, folder, allowing)
    np.testing.assert_allclose(every(new)[1].values["genes"][:, 0], 0, atol=1e-6)
    assert any(f"training spots' means: {lost}" in warning for warning in new.warnings)
    strangers = tissue(tmp_path / "other", "N1", genes=[f"H{place}" for place in range(len(GENES))])
    with pytest.raises(MismatchError, match="not one of the features"):
        SpatialSource(made, strangers, allowing).plan()


def test_a_section_without_an_image_lacks_what_is_made_of_it(tmp_path):
    made, known = trained(tmp_path / "old")
    folder = tissue(tmp_path / "new", "N1", "N2")
    (folder / "images/N1.png").unlink()
    new = SpatialSource(made, folder, like(known[0]))
    plan, block = every(new)
    assert block.present["image"].tolist() == [False] * 36 + [True] * 36
    assert not block.values["colours"][:36].any()
    assert block.present["genes"].all()
    assert any("N1: no image; image is missing in 36 spots" in warning for warning in new.warnings)
    assert plan.modalities["image"].shape == (3, 8, 8)


def test_an_h5ad_file_or_a_folder_of_space_ranger_alone_is_one_section(tmp_path):
    features = {"genes": {"feature": "genes"}, "image": {"feature": "image", "patch": 8}}
    h5ad(tmp_path / "old/T1.h5ad", 1, symbols=GENES)
    made = recipe({"T1": {"split": "train"}}, tuple(features), features=features, files={"layout": "h5ad"})
    known = every(SpatialSource(made, tmp_path / "old"))
    found = every(SpatialSource(made, tmp_path / "old/T1.h5ad", like(known[0])))
    same_rows(known, found)

    space_ranger(tmp_path / "cohort/P1", 1)
    made = recipe({"P1": {"split": "train"}}, tuple(features), features=features, files={"layout": "space-ranger"})
    known = every(SpatialSource(made, tmp_path / "cohort"))
    for place in ("P1", "clinic/P1/outs"):
        output = space_ranger(tmp_path / place, 1)
        same_rows(known, every(SpatialSource(made, output, like(known[0]))))


def test_sections_for_prediction_only_may_be_named_in_a_recipe(tmp_path):
    _, known = trained(tmp_path / "old", {"genes": {"feature": "genes"}})
    made = recipe({"x": {"split": "test"}}, files={"layout": "legacy"}, features={"genes": {"feature": "genes"}})
    found = every(SpatialSource(made, tissue(tmp_path / "new", "N1"), like(known[0])))
    assert found[0].groups == ["N1"] * 36


def test_what_is_no_section_is_refused(tmp_path):
    made, known = trained(tmp_path / "old")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no section of tissue is here"):
        SpatialSource(made, tmp_path / "empty", like(known[0])).plan()
    with pytest.raises(DataError, match="not a folder"):
        SpatialSource(made, tmp_path / "old/counts/T1.tsv.gz", like(known[0])).plan()
    with pytest.raises(RecipeError, match="name the folder"):
        SpatialSource(made, None, like(known[0]))
    other = recipe(SECTIONS, tuple(EVERYTHING), features=EVERYTHING | {"image": {"feature": "image", "patch": 16}})
    with pytest.raises(UsageError, match="made of something else"):
        SpatialSource(other, tmp_path / "old", like(known[0])).plan()
