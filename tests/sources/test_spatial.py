"""Sections of tissue in every layout: what is read, how it is divided, labelled, normalised, joined and cut."""

from __future__ import annotations

import numpy as np
import pytest
import scanpy as sc
from real import real_data
from spatial_data import (
    ANOMALOUS,
    GENES,
    PITCH,
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

from omib_cli.artifacts import format as fmt
from omib_cli.errors import DataError
from omib_cli.recipe.load import load_recipe
from omib_cli.sources.spatial.colours import STAINS, colour_statistics
from omib_cli.sources.spatial.colours import names as names_of_colours
from omib_cli.sources.spatial.images import open_image
from omib_cli.sources.spatial.source import SpatialSource

TWO = {"T1": {"split": "train"}, "S1": {"split": "test"}}
LABELS = ["cancer" if number % 3 == 0 else "fat" for number in range(36)]


def both(folder, labels=LABELS):
    """A training and a test section."""
    legacy(folder, "T1", 1, labels)
    return legacy(folder, "S1", 2, labels)


def made(one):
    """The plan and all rows."""
    plan = one.plan()
    return plan, one.block(0, len(plan.ids))


def test_sections_follow_each_other_training_first(tmp_path):
    both(tmp_path)
    plan, _ = made(source(tmp_path, {"S1": {"split": "test"}, "T1": {"split": "train", "patient": "T"}}))
    assert plan.groups == ["T1"] * 36 + ["S1"] * 36
    assert plan.split.tolist() == [0] * 36 + [2] * 36
    assert plan.ids[0] == "T1_2x2"
    np.testing.assert_array_equal(plan.coordinates[36:], pixels())
    assert (plan.facts["sections"]["T1"]["patient"], plan.facts["sections"]["S1"]["patient"]) == ("T", "S1")


def test_labelled_anomalies_stay_out_of_training_and_are_counted(tmp_path):
    one = source(both(tmp_path), TWO, labels=ANOMALOUS)
    plan, block = made(one)
    assert plan.classes == ["normal", "anomalous"]
    assert (plan.split == 0).sum() == 24
    assert not block.labels[plan.split == 0].any()
    np.testing.assert_array_equal(block.labels[plan.split == 2], [float(label == "cancer") for label in LABELS])
    assert plan.facts["sections"]["T1"]["left_out"] == {"labelled anomalous": 12}
    assert any("12 spots labelled anomalous" in warning for warning in one.warnings)


def test_spots_without_label_are_unknown_in_test_and_left_out_of_labelled_training(tmp_path):
    labels = ["", *LABELS[1:-1], "NA"]
    plan, block = made(source(both(tmp_path, labels), TWO, labels=ANOMALOUS))
    test = block.labels[plan.split == 2]
    assert np.flatnonzero(np.isnan(test)).tolist() == [0, 35]
    assert plan.facts["sections"]["T1"]["left_out"] == {"labelled anomalous": 11, "without a label": 2}


def test_a_section_without_labels_is_taken_whole(tmp_path):
    sections = {"T1": {"split": "train", "labels": "none"}, "S1": {"split": "test"}}
    plan, block = made(source(both(tmp_path), sections, labels=ANOMALOUS))
    assert np.isnan(block.labels[plan.split == 0]).all()
    assert (plan.split == 0).sum() == 36


def test_region_labels_can_be_classes(tmp_path):
    plan, block = made(source(both(tmp_path, ["", *LABELS[1:]]), TWO, task="classification", labels=ANOMALOUS))
    assert plan.classes == ["cancer", "fat"]
    np.testing.assert_array_equal(block.labels[:35], [float(label == "fat") for label in LABELS[1:]])


def test_only_common_genes_are_used_and_only_frequent_ones(tmp_path):
    values = counts(1)
    values[:, 3] = 0
    values[0, 3] = 5  # in one training spot only
    legacy(tmp_path, "T1", counts=values)
    legacy(tmp_path, "S1", counts=counts(2)[:, ::-1], genes=[*GENES[::-1][:-1], "OTHER"])
    plan = source(tmp_path, TWO, expression={"min_spots": 2, "top_genes": 100}).plan()
    assert list(plan.modalities["genes"].features) == [gene for gene in GENES[1:] if gene != "G3"]


def test_expression_is_scanpys_fitted_on_training_spots_alone(tmp_path):
    both(tmp_path)
    one = source(tmp_path, TWO, features={"genes": {"feature": "genes", "standardise": False}})
    plan, block = made(one)
    data = sc.AnnData(np.concatenate([counts(1), counts(2)]).astype(np.float32))
    totals = counts(1).sum(axis=1)
    sc.pp.normalize_total(data, target_sum=float(np.median(totals)))
    sc.pp.log1p(data)
    train = data[:36].copy()
    sc.pp.highly_variable_genes(train, n_top_genes=20, flavor="seurat")
    chosen = train.var["highly_variable"].to_numpy()
    assert list(plan.modalities["genes"].features) == [gene for gene, kept in zip(GENES, chosen, strict=True) if kept]
    np.testing.assert_allclose(block.values["genes"], data.X[:, chosen], rtol=1e-6)


def test_a_test_section_changes_nothing_that_was_learnt(tmp_path):
    features = {"genes": {"feature": "genes", "components": 5, "whiten": True}}
    rows = []
    for number, seed in enumerate((2, 3)):
        legacy(tmp_path / str(number), "T1", 1)
        legacy(tmp_path / str(number), "S1", seed)
        one = source(tmp_path / str(number), TWO, ("genes", "depth"), features=features)
        rows.append(made(one)[1].values)
    for name in ("genes", "depth"):
        np.testing.assert_array_equal(rows[0][name][:36], rows[1][name][:36])
        assert not np.array_equal(rows[0][name][36:], rows[1][name][36:])
    np.testing.assert_allclose(rows[0]["genes"][:36].std(axis=0, ddof=1), 1, atol=1e-4)


def test_depth_is_the_log_of_counts_and_of_genes_found(tmp_path):
    both(tmp_path)
    plan, block = made(source(tmp_path, TWO, ("depth",)))
    raw = np.concatenate([counts(1), counts(2)])
    expected = np.log1p(np.column_stack([raw.sum(axis=1), (raw > 0).sum(axis=1)]))
    fitted = plan.modalities["depth"].preprocessing
    np.testing.assert_allclose(block.values["depth"] * fitted["scale"] + fitted["offset"], expected, rtol=1e-5)
    np.testing.assert_allclose(block.values["depth"][:36].mean(axis=0), 0, atol=1e-5)


def test_thinning_comes_before_everything_and_repeats_itself(tmp_path):
    both(tmp_path)
    expression = {"min_spots": 2, "top_genes": 20, "thin": 40}
    (plan, first), (_, again) = (made(source(tmp_path, TWO, ("depth", "genes"), expression=expression)) for _ in "ab")
    fitted = plan.modalities["depth"].preprocessing
    totals = np.expm1(first.values["depth"] * fitted["scale"] + fitted["offset"])[:, 0]
    np.testing.assert_allclose(totals, 40, rtol=1e-4)
    np.testing.assert_array_equal(first.values["genes"], again.values["genes"])


def test_smoothing_takes_the_mean_of_a_spot_and_those_around_it(tmp_path):
    both(tmp_path)
    genes = {"feature": "genes", "components": 5, "whiten": True}
    options = ({}, {"smooth": 4}, {"neighbours": 4})
    plain, smooth, graph = (
        made(source(tmp_path, TWO, labels=ANOMALOUS, features={"genes": genes | more})) for more in options
    )
    near = graph[0].modalities["genes"].neighbours
    for row in (0, 23, 24, 40):  # left out of training with its labels: no neighbour of a training spot either
        rows = [row, *(other for other in near[row] if other >= 0)]
        expected = plain[1].values["genes"][rows].mean(axis=0)
        np.testing.assert_allclose(smooth[1].values["genes"][row], expected, rtol=1e-5, atol=1e-6)


def test_depth_can_be_one_more_column_of_genes(tmp_path):
    both(tmp_path)
    genes = {"feature": "genes", "components": 5, "whiten": True, "smooth": 4}
    features = {"with": genes | {"depth": True}, "without": genes}
    plan, block = made(source(tmp_path, TWO, ("with", "without", "depth"), features=features))
    np.testing.assert_array_equal(block.values["with"][:, :5], block.values["without"])
    np.testing.assert_array_equal(block.values["with"][:, 5], block.values["depth"][:, 0])
    assert plan.modalities["with"].features[-1] == "log_total_counts"
    assert plan.modalities["with"].preprocessing["depth_offset"].shape == (1,)


def test_neighbours_touch_go_both_ways_and_stay_in_their_section(tmp_path):
    both(tmp_path)
    one = source(tmp_path, TWO, labels=ANOMALOUS, features={"genes": {"feature": "genes", "neighbours": 4}})
    plan = one.plan()
    near = plan.modalities["genes"].neighbours
    assert plan.modalities["genes"].kind == fmt.GRAPH
    groups = np.array(plan.groups)
    edges = {(row, int(other)) for row, others in enumerate(near) for other in others if other >= 0}
    assert all((other, row) in edges for row, other in edges)
    assert all(groups[row] == groups[other] for row, other in edges)
    assert all(row != other for row, other in edges)
    steps = [np.linalg.norm(plan.coordinates[row] - plan.coordinates[other]) / PITCH for row, other in edges]
    assert max(steps) <= 2  # the second nearest in line, at the edge of the square; never across what was left out
    inner = plan.ids.index("S1_4x4")
    assert {plan.ids[row] for row in near[inner] if row >= 0} >= {"S1_3x4", "S1_5x4", "S1_4x3", "S1_4x5"}


@pytest.mark.parametrize("name", ["slide.png", "slide.tif"])
def test_a_patch_is_the_pixels_around_its_spot(tmp_path, name):
    both(tmp_path)
    save_picture(tmp_path / name, picture())
    files = {"layout": "legacy", "image": name}
    plan, block = made(_of_patches(tmp_path, files))
    assert (plan.modalities["image"].kind, block.values["image"].dtype) == (fmt.IMAGE, np.uint8)
    for row in (0, 17, 71):
        x, y = (int(one) for one in plan.coordinates[row])
        expected = picture()[y - 4 : y + 4, x - 4 : x + 4].transpose(2, 0, 1)
        np.testing.assert_array_equal(block.values["image"][row], expected)


def test_a_block_depends_on_nothing_but_its_rows(tmp_path):
    both(tmp_path)
    save_picture(tmp_path / "slide.png", picture())
    files = {"layout": "legacy", "image": "slide.png"}
    _, whole = made(_of_patches(tmp_path, files))
    resumed = _of_patches(tmp_path, files)
    resumed.plan()
    for start, stop in ((50, 72), (20, 50)):
        np.testing.assert_array_equal(resumed.block(start, stop).values["image"], whole.values["image"][start:stop])


def _of_patches(folder, files):
    return source(folder, TWO, ("image",), files=files, features={"image": {"feature": "image", "patch": 8}})


def test_patches_of_images_of_different_scale_show_the_same_tissue(tmp_path):
    """The test section's image has half the resolution: with one scale for all, its patches are those of the other."""
    both(tmp_path)
    image = picture()
    save_picture(tmp_path / "T1.png", image)
    save_picture(tmp_path / "S1.png", image[::2, ::2])
    sections = {"T1": {"split": "train"}, "S1": {"split": "test", "full_width": 200}}
    features = {"image": {"feature": "image", "patch": 4, "mpp": 20.0}}  # a pixel of S1.png is 20 micrometres
    files = {"layout": "legacy", "image": "{section}.png"}
    one = source(tmp_path, sections, ("image",), files=files, features=features)
    plan, block = made(one)
    patches = block.values["image"].astype(int)
    assert abs(patches[:36] - patches[36:]).max() <= 2
    assert [round(fact["mpp"], 2) for fact in plan.facts["sections"].values()] == [10, 20]


def test_images_of_different_scale_are_pointed_out(tmp_path):
    both(tmp_path)
    save_picture(tmp_path / "T1.png", picture())
    save_picture(tmp_path / "S1.png", picture()[::2, ::2])
    sections = {"T1": {"split": "train"}, "S1": {"split": "test", "full_width": 200}}
    one = source(tmp_path, sections, ("image",), files={"layout": "legacy", "image": "{section}.png"})
    one.plan()
    assert any("differ in scale" in warning and "T1 10.00, S1 20.00" in warning for warning in one.warnings)


def test_a_jpeg_that_is_scaled_down_is_decoded_in_less_detail(tmp_path):
    path = save_picture(tmp_path / "slide.jpg", picture(), quality=95)
    image = open_image(path, "slide.jpg", shrink=4.5)
    assert (image.reduced, image.width, image.height) == (4, 200, 180)
    assert abs(int(image.region(25, 20, 26, 21)[0, 0, 0]) - 102) < 6


@pytest.mark.parametrize("layout", [{"tile": (64, 64)}, {"tile": None}, {"tile": (64, 64), "compression": "zlib"}])
def test_a_tiff_gives_the_regions_of_the_whole(tmp_path, layout, monkeypatch):
    monkeypatch.setattr("omib_cli.sources.spatial.images.BLOCK", 50)
    image = np.random.default_rng(0).integers(0, 256, (230, 310, 3), dtype=np.uint8)
    opened = open_image(save_picture(tmp_path / "slide.tif", image, **layout), "slide.tif")
    assert (opened.width, opened.height) == (310, 230)
    for left, top, right, bottom in ((0, 0, 310, 230), (40, 45, 130, 201), (299, 229, 310, 230)):
        np.testing.assert_array_equal(opened.region(left, top, right, bottom), image[top:bottom, left:right])


def test_a_patch_over_the_edge_goes_on_with_the_edge(tmp_path):
    both(tmp_path)
    save_picture(tmp_path / "slide.png", picture(145, 150))  # the last spots are at 140
    one = source(tmp_path, TWO, ("image",), files={"layout": "legacy", "image": "slide.png"})
    _, block = made(one)
    corner = block.values["image"][35]
    assert corner[0].max() == 144
    np.testing.assert_array_equal(corner[:, :, -1], corner[:, :, 20])


def test_a_section_without_an_image_lacks_the_modality(tmp_path):
    both(tmp_path)
    save_picture(tmp_path / "slide.png", picture())
    sections = {"T1": {"split": "train"}, "S1": {"split": "test", "image": "none"}}
    _, block = made(source(tmp_path, sections, ("genes", "image"), files={"layout": "legacy", "image": "slide.png"}))
    np.testing.assert_array_equal(block.present["image"], np.arange(72) < 36)
    assert not block.values["image"][36:].any()
    assert block.present["genes"].all()


def test_colours_are_statistics_of_the_patches(tmp_path):
    both(tmp_path)
    save_picture(tmp_path / "slide.png", picture())
    files = {"layout": "legacy", "image": "slide.png"}
    features = {
        "image": {"feature": "image", "patch": 8},
        "colours": {"feature": "colours", "patch": 8, "standardise": False},
        "white": {"feature": "colours", "patch": 8, "components": 2, "whiten": True},
    }
    plan, block = made(source(tmp_path, TWO, tuple(features), files=files, features=features))
    assert plan.modalities["colours"].features[:4] == ["red_mean", "green_mean", "blue_mean", "red_sd"]
    found = dict(zip(plan.modalities["colours"].features, block.values["colours"].T, strict=True))
    red = block.values["image"][:, 0].reshape(72, -1).astype(float)
    for statistic, take in (("mean", np.mean), ("sd", np.std), ("median", np.median)):
        np.testing.assert_allclose(found[f"red_{statistic}"], take(red, axis=1), rtol=1e-5)
    np.testing.assert_allclose(
        found["value_mean"], block.values["image"].max(axis=1).mean(axis=(1, 2)) / 255, rtol=1e-5
    )
    np.testing.assert_allclose(block.values["white"][:36].std(axis=0, ddof=1), 1, atol=1e-4)
    assert block.present["colours"].all()


def test_stains_are_the_absorbing_parts_of_a_colour():
    eosin = np.array(STAINS["eosin"])
    light = np.round(256 * np.exp(-0.8 * eosin) - 1).astype(np.uint8)  # what is left where there is 0.8 of it
    patch = np.broadcast_to(light[None, :, None, None], (1, 3, 4, 4))
    found = dict(zip(names_of_colours(), colour_statistics(patch)[0], strict=True))
    assert found["eosin_mean"] == pytest.approx(0.8, abs=0.02)
    assert found["haematoxylin_median"] == pytest.approx(0, abs=0.02)


def test_a_section_without_an_image_lacks_its_colours_and_one_must_train(tmp_path):
    both(tmp_path)
    save_picture(tmp_path / "slide.png", picture())
    files = {"layout": "legacy", "image": "slide.png"}
    sections = {"T1": {"split": "train"}, "S1": {"split": "test", "image": "none"}}
    features = {"colours": {"feature": "colours", "components": 2, "whiten": True, "smooth": 4}}
    _, block = made(source(tmp_path, sections, ("genes", "colours"), files=files, features=features))
    np.testing.assert_array_equal(block.present["colours"], np.arange(72) < 36)
    assert not block.values["colours"][36:].any()
    sections = {"T1": {"split": "train", "image": "none"}, "S1": {"split": "test"}}
    with pytest.raises(DataError, match="no training section has an image"):
        source(tmp_path, sections, ("genes", "colours"), files=files, features=features).plan()


@pytest.mark.parametrize("h5", [False, True])
@pytest.mark.parametrize("header", [False, True])
def test_space_ranger_folders_of_every_version_are_read_alike(tmp_path, h5, header):
    space_ranger(tmp_path / "V1", 4, h5=h5, header=header)
    one = source(tmp_path, {"V1": {"split": "train"}}, ("genes", "image", "depth"), files={"layout": "space-ranger"})
    plan, block = made(one)
    assert len(plan.ids) == 35
    np.testing.assert_allclose(plan.coordinates[7], [60 + 1.5 * PITCH, 60 + PITCH * 3**0.5 / 2])
    assert plan.facts["sections"]["V1"]["mpp"] == pytest.approx(10.0)  # 100 um are 20 px, 10 in the image
    fitted = plan.modalities["depth"].preprocessing
    totals = np.expm1(block.values["depth"] * fitted["scale"] + fitted["offset"])[:, 0]
    np.testing.assert_allclose(totals, counts(4)[:-1].sum(axis=1), rtol=1e-4)
    assert "V1/spatial/tissue_hires_image.png" in one.files()


def test_counts_of_ids_with_one_symbol_are_added_up(tmp_path):
    space_ranger(tmp_path / "V1", symbols=["G1", "G1", *GENES[2:]])
    one = source(tmp_path, {"V1": {"split": "train"}}, files={"layout": "space-ranger"})
    section = one._read()[0].section
    assert section.genes == ["G1", *GENES[2:]]
    np.testing.assert_array_equal(section.counts[:, 0].toarray()[:, 0], counts()[:-1, :2].sum(axis=1))
    one.plan()
    assert any("the ids of 1 symbol" in warning for warning in one.warnings)


def test_an_h5ad_file_brings_its_positions_image_and_labels(tmp_path):
    h5ad(tmp_path / "S1.h5ad")
    one = source(
        tmp_path,
        {"S1": {"split": "train"}},
        ("genes", "image"),
        files={"layout": "h5ad", "genes": "feature_name", "pitch_um": 200.0},
        labels={"column": "region", "anomalous": ["out"]},
        features={"image": {"feature": "image", "patch": 8}},
    )
    plan, block = made(one)
    assert len(plan.ids) == 18
    assert plan.facts["sections"]["S1"]["mpp"] == pytest.approx(10.0)
    assert set(plan.modalities["genes"].features) <= set(GENES)
    x, y = (int(one) for one in plan.coordinates[3])
    np.testing.assert_array_equal(block.values["image"][3, 0], picture()[y - 4 : y + 4, x - 4 : x + 4, 0])


def test_sections_of_different_layouts_make_one_dataset(tmp_path):
    h5ad(tmp_path / "T1.h5ad")
    legacy(tmp_path, "S1", 2, LABELS)
    sections = {
        "T1": {"split": "train", "files": {"layout": "h5ad", "genes": "feature_name"}},
        "S1": {"split": "test", "labels": ANOMALOUS},
    }
    plan, block = made(source(tmp_path, sections))
    assert plan.split.tolist() == [0] * 36 + [2] * 36
    assert np.nansum(block.labels) == 12


def test_rows_of_labels_and_spots_without_counts_are_counted(tmp_path):
    both(tmp_path)
    legacy(tmp_path, "S1", counts=counts(2)[:-2], spots=[f"{x}x{y}" for x, y in array()[:-2]], labels=LABELS)
    one = source(tmp_path, TWO, labels=ANOMALOUS)
    plan = one.plan()
    assert (plan.split == 2).sum() == 34
    assert "2 rows of labels/S1.tsv without counts: left out" in one.warnings
    assert "2 spots of spots/S1_selection.tsv without counts: left out" in one.warnings


def test_every_file_that_was_read_is_hashed(tmp_path):
    both(tmp_path)
    found = source(tmp_path, TWO, labels=ANOMALOUS).files()
    assert list(found) == sorted(
        f"{folder}/{name}{end}"
        for name in TWO
        for folder, end in (("counts", ".tsv.gz"), ("spots", "_selection.tsv"), ("labels", ".tsv"))
    )


def test_the_sections_of_her2st_have_the_published_numbers_of_cancer_spots():
    one = SpatialSource(load_recipe("her2st-genes"), real_data("her2st"))
    plan, block = made(one)
    facts = plan.facts["sections"]
    found = {name: (facts[name]["anomalous"], facts[name]["spots"]) for name in ("A1", "B1", "C1", "D1")}
    assert found == {"A1": (303, 346), "B1": (63, 295), "C1": (127, 176), "D1": (139, 306)}
    assert (facts["G2"]["spots"], facts["H1"]["spots"]) == (307, 426)
    assert plan.modalities["genes"].shape == (3000,)
    assert np.isfinite(block.values["genes"]).all()
    neighbours = (plan.modalities["genes"].neighbours >= 0).sum(axis=1)
    assert 3 < neighbours.mean() < 5


def test_her2sts_images_are_brought_to_one_scale():
    one = SpatialSource(load_recipe("her2st"), real_data("her2st"))
    plan, block = made(one)
    facts = plan.facts["sections"]
    assert {name: round(facts[name]["mpp"], 2) for name in facts} == {"B4": 0.69, "C2": 0.69, "A1": 3.18}
    assert block.values["image"].shape == (562, 3, 32, 32)
    cancer = block.labels == 1
    brightness = block.values["image"].mean(axis=(1, 2, 3))
    assert brightness[cancer].mean() < brightness[~cancer].mean() - 15


def test_a_real_visium_section_is_read_without_labels():
    plan, block = made(SpatialSource(load_recipe("visium"), real_data("visium")))
    assert len(plan.ids) == 2898
    assert np.isnan(block.labels).all()
    assert block.values["image"].shape == (2898, 3, 32, 32)
    assert plan.modalities["genes"].shape == (50,)


def test_modalities_may_bear_any_name(tmp_path):
    both(tmp_path)
    features = {"rna": {"feature": "genes"}, "size": {"feature": "depth"}}
    plan = source(tmp_path, TWO, ("rna", "size"), features=features).plan()
    assert list(plan.modalities) == ["rna", "size"]
    assert recipe(TWO, ("rna", "size"), features=features).data.feature("size").feature == "depth"


@pytest.mark.parametrize("written", [(1, 0), ("1", "0"), (True, False), ("True", "False"), (1.0, 0.0), ("1.0", "0")])
def test_spots_outside_the_tissue_are_left_out_however_that_is_written(tmp_path, written):
    inside = [written[0]] * 30 + [written[1]] * 6
    h5ad(tmp_path / "T1.h5ad", obs={"in_tissue": inside})
    one = source(tmp_path, {"T1": {"split": "train"}}, files={"layout": "h5ad"})
    assert one.plan().ids == [f"T1_c{number}" for number in range(30)]
    assert "T1.h5ad: 6 spots outside the tissue: left out" in one.warnings
    folder = space_ranger(tmp_path / "sr" / "T1")
    table = folder / "spatial" / "tissue_positions.csv"
    lines = table.read_text().splitlines()
    rows = [line.split(",") for line in lines[1:]]
    rows = [[row[0], str(flag), *row[2:]] for row, flag in zip(rows, inside, strict=True)]
    table.write_text("\n".join([lines[0], *map(",".join, rows)]) + "\n")
    plan = source(tmp_path / "sr", {"T1": {"split": "train"}}, files={"layout": "space-ranger"}).plan()
    assert plan.ids == [f"T1_AAAC{number:04d}-1" for number in range(30)]


def test_legacy_spots_that_are_not_selected_are_left_out_and_said(tmp_path):
    legacy(tmp_path, "T1", 3)
    table = tmp_path / "spots" / "T1_selection.tsv"
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines[:20], *(line.removesuffix("1") + "0" for line in lines[20:])]) + "\n")
    one = source(tmp_path, {"T1": {"split": "train"}}, ("depth",))
    plan, block = made(one)
    assert plan.ids == [f"T1_{x}x{y}" for x, y in array()[:19]]
    np.testing.assert_array_equal(plan.coordinates, pixels()[:19])
    fitted = plan.modalities["depth"].preprocessing
    totals = np.expm1(block.values["depth"] * fitted["scale"] + fitted["offset"])[:, 0]
    np.testing.assert_allclose(totals, counts(3)[:19].sum(axis=1), rtol=1e-4)
    assert "counts/T1.tsv.gz: 17 spots not selected in spots/T1_selection.tsv: left out" in one.warnings


def test_quotes_are_no_part_of_a_name(tmp_path):
    """As R's write.table and spreadsheets write text."""
    import gzip

    both(tmp_path)
    plain = source(tmp_path, TWO, labels=ANOMALOUS).plan()
    for name in TWO:
        path = tmp_path / "counts" / f"{name}.tsv.gz"
        lines = gzip.decompress(path.read_bytes()).decode().splitlines()
        rows = [line.split("\t") for line in lines]
        rows = [[f'"{one}"' for one in rows[0]], *([f'"{row[0]}"', *row[1:]] for row in rows[1:])]
        path.write_bytes(gzip.compress("\n".join(map("\t".join, rows)).encode()))
        for table in (tmp_path / "spots" / f"{name}_selection.tsv", tmp_path / "labels" / f"{name}.tsv"):
            table.write_text(
                "\n".join(
                    "\t".join(f'"{cell}"' for cell in line.split("\t")) for line in table.read_text().splitlines()
                )
            )
    quoted = source(tmp_path, TWO, labels=ANOMALOUS).plan()
    assert quoted.ids == plain.ids
    assert list(quoted.modalities["genes"].features) == list(plain.modalities["genes"].features)
    folder = space_ranger(tmp_path / "V1")
    files = {"layout": "space-ranger"}
    expected = source(tmp_path, {"V1": {"split": "train"}}, files=files).plan()
    for path in (
        folder / "spatial" / "tissue_positions.csv",
        *(folder / "filtered_feature_bc_matrix").glob("*s.tsv.gz"),
    ):
        packed = path.suffix == ".gz"
        text = gzip.decompress(path.read_bytes()).decode() if packed else path.read_text()
        mark = "\t" if packed else ","
        text = "\n".join(mark.join(f'"{cell}"' for cell in line.split(mark)) for line in text.splitlines()) + "\n"
        path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    found = source(tmp_path, {"V1": {"split": "train"}}, files=files).plan()
    assert found.ids == expected.ids
    assert list(found.modalities["genes"].features) == list(expected.modalities["genes"].features)


@pytest.mark.parametrize("header", [False, True])
def test_every_file_of_a_space_ranger_folder_may_be_compressed(tmp_path, header):
    import gzip

    folder = space_ranger(tmp_path / "V1", 4, header=header)
    sections, files = {"V1": {"split": "train"}}, {"layout": "space-ranger"}
    features = {"image": {"feature": "image", "patch": 8}}
    plan, block = made(source(tmp_path, sections, ("genes", "image"), files=files, features=features))
    for path in (folder / "spatial").iterdir():
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    again, same = made(source(tmp_path, sections, ("genes", "image"), files=files, features=features))
    assert again.ids == plan.ids
    assert again.facts == plan.facts
    np.testing.assert_array_equal(same.values["image"], block.values["image"])


def test_a_square_array_is_no_hexagonal_one_in_any_layout(tmp_path):
    """Neighbours are 20 pixels apart in all of them: 100 micrometres over 20 pixels, or 10 in an image of half size."""
    space_ranger(tmp_path / "A", square=True)
    space_ranger(tmp_path / "B")
    x, y = array().T
    h5ad(tmp_path / "C.h5ad", obs={"array_row": y, "array_col": x})
    shifted = np.column_stack([60 + (x + (y % 2) / 2) * PITCH * 0.5, 60 + y * PITCH * 3**0.5 / 4])
    h5ad(tmp_path / "D.h5ad", 1, obs={"array_row": y, "array_col": x}, positions=shifted)
    h5ad(tmp_path / "E.h5ad", 2, obs={"array_row": y, "array_col": 2 * x + y % 2}, positions=shifted)
    h5ad(tmp_path / "F.h5ad", 3, positions=shifted)
    sections = {"A": {}, "B": {}} | {name: {"files": {"layout": "h5ad", "genes": "feature_name"}} for name in "CDEF"}
    sections = {name: {"split": "train", **one} for name, one in sections.items()}
    plan = source(tmp_path, sections, ("genes", "image"), files={"layout": "space-ranger"}).plan()
    found = {name: one["mpp"] for name, one in plan.facts["sections"].items()}
    assert found == pytest.approx({"A": 10, "B": 10, "C": 5, "D": 10, "E": 10, "F": 10}, rel=0.02)


def test_genes_without_a_symbol_are_left_out_by_name(tmp_path):
    symbols = ["", "NA", "nan", *GENES[3:]]
    h5ad(tmp_path / "T1.h5ad", symbols=symbols)
    space_ranger(tmp_path / "V1", 1, symbols=symbols)
    space_ranger(tmp_path / "V2", 2, symbols=symbols, h5=True)
    sections = {name: {"split": "train"} for name in ("T1", "V1", "V2")}
    sections["T1"]["files"] = {"layout": "h5ad", "genes": "feature_name"}
    one = source(tmp_path, sections, files={"layout": "space-ranger"})
    one.plan()
    assert [place.section.genes for place in one._read()] == [GENES[3:]] * 3
    said = [line for line in one.warnings if line.endswith("3 genes without a symbol: left out: ENSG0, ENSG1, ENSG2")]
    assert len(said) == 3


def test_features_that_are_no_genes_are_left_out_and_said(tmp_path):
    space_ranger(tmp_path / "V1", kinds=["Gene Expression"] * 20 + ["Antibody Capture"] * 7 + ["Custom"] * 3)
    one = source(tmp_path, {"V1": {"split": "train"}}, files={"layout": "space-ranger"})
    one.plan()
    assert any("7 of type 'Antibody Capture', 3 of type 'Custom'" in line for line in one.warnings)
    assert one._read()[0].section.genes == GENES[:20]


def test_how_many_genes_the_sections_share_is_said(tmp_path):
    legacy(tmp_path, "T1", 1)
    legacy(tmp_path, "S1", 2, genes=[*GENES[:3], *(f"H{number}" for number in range(27))])
    one = source(tmp_path, TWO)
    one.plan()
    assert "the sections have 3 genes in common, which are used (of T1 30, S1 30)" in one.warnings


def test_an_h5ad_picture_is_the_same_in_every_type_of_number(tmp_path):
    plain = picture()
    bright = np.where(plain == plain.max(), 1.0000002, plain / 255).astype(np.float32)
    grey = np.repeat(plain[..., :1], 3, axis=2)
    opaque = np.dstack([plain, np.full(plain.shape[:2], 255, np.uint8)])
    kinds = {"A": plain, "B": plain / 255, "C": bright, "D": plain.astype(np.uint16), "E": opaque, "F": plain[..., 0]}
    for seed, (name, pixels_) in enumerate(kinds.items()):
        h5ad(tmp_path / f"{name}.h5ad", seed, libraries={name: (pixels_, 1.0)})
    sections = {name: {"split": "train"} for name in kinds}
    features = {"image": {"feature": "image", "patch": 8}}
    one = source(tmp_path, sections, ("image",), files={"layout": "h5ad"}, features=features)
    plan, block = made(one)
    for row in (0, 20):
        x, y = (int(place) for place in plan.coordinates[row])
        window = np.s_[y - 4 : y + 4, x - 4 : x + 4]
        for number, name in enumerate(kinds):
            expected = (grey if name == "F" else np.where(plain == plain.max(), 255, plain) if name == "C" else plain)[
                window
            ]
            np.testing.assert_array_equal(block.values["image"][36 * number + row], expected.transpose(2, 0, 1))
    assert sum("grey" in line for line in one.warnings) == sum("opacity" in line for line in one.warnings) == 1


def test_spots_that_all_lie_in_a_corner_are_said(tmp_path):
    h5ad(tmp_path / "T1.h5ad", positions=array().astype(float))  # array coordinates where pixels should be
    one = source(tmp_path, {"T1": {"split": "train"}}, ("image",), files={"layout": "h5ad"})
    one.plan()
    assert any(
        "all spots lie in a small part of it (x 2 to 7, y 2 to 7, of 200 x 180 pixels)" in x for x in one.warnings
    )


def test_one_image_for_several_sections_is_said(tmp_path):
    both(tmp_path)
    save_picture(tmp_path / "slide.png", picture())
    one = _of_patches(tmp_path, {"layout": "legacy", "image": "slide.png"})
    one.plan()
    assert "sections T1, S1 are cut out of one image, slide.png" in one.warnings


def test_columns_that_differ_in_rounding_alone_are_not_blown_up(tmp_path):
    """Patches of one colour but for the test section's: the training deviation is zero but for rounding."""
    legacy(tmp_path, "T1", 1)
    legacy(tmp_path, "S1", 2)
    save_picture(tmp_path / "T1.png", np.full((180, 200, 3), (201, 77, 120), np.uint8))
    save_picture(tmp_path / "S1.png", picture())
    files = {"layout": "legacy", "image": "{section}.png"}
    _, block = made(source(tmp_path, TWO, ("colours",), files=files))
    assert np.abs(block.values["colours"]).max() < 300
    features = {"colours": {"feature": "colours", "components": 3, "whiten": True}}
    with pytest.raises(DataError, match="principal components that do not vary"):
        source(tmp_path, TWO, ("colours",), files=files, features=features).plan()


def test_classes_that_the_test_section_lacks_are_said(tmp_path):
    legacy(tmp_path, "T1", 1, labels=["fat", "gland", "cancer"] * 12)
    legacy(tmp_path, "S1", 2, labels=["fat", "cancer"] * 18)
    one = source(tmp_path, TWO, task="classification", labels={"file": "labels/{section}.tsv"})
    one.plan()
    assert any("classes without a sample in the test split: 'gland' (12 samples)" in line for line in one.warnings)
