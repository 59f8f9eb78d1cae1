"""Every source prepares unlabelled samples with what a model carries as it prepared the model's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from media_data import CLIPS, crema_d, everything, media_recipe
from mosi_data import mag_bert, mmsa, mosi_recipe, published_folder, save
from real import real_data
from small import small_recipe

from omib_cli.artifacts.prepared import Prepared, PreparedModality
from omib_cli.errors import MismatchError, UsageError
from omib_cli.sources.media.source import CremaDSource
from omib_cli.sources.mosi.source import CmuMosiSource
from omib_cli.sources.simulation import SimulationSource


def like(plan) -> Prepared:
    """What a model that was trained on a plan's data would carry of them."""
    modalities = {
        name: PreparedModality(one.kind, one.shape, one.features, one.config, one.preprocessing)
        for name, one in plan.modalities.items()
    }
    return Prepared(Path("model.safetensors"), "hash", list(plan.classes), modalities)


def same_rows(first, second) -> None:
    """The samples of the second plan have in it the values that they have in the first."""
    (plan, block), (new_plan, new_block) = first, second
    place = [plan.ids.index(one) for one in new_plan.ids]
    for name, values in new_block.values.items():
        np.testing.assert_array_equal(values, block.values[name][place])
        np.testing.assert_array_equal(new_block.present[name], block.present[name][place])
    assert set(new_plan.split.tolist()) == {3}


@pytest.mark.parametrize("layout", ["mag-bert", "mmsa"])
def test_utterances_of_a_pickle_need_no_label_and_no_split(tmp_path, layout):
    recipe = mosi_recipe({"audio": "conv1d", "visual": "conv1d"})
    content = mag_bert() if layout == "mag-bert" else mmsa()
    known = everything(CmuMosiSource(recipe, save(tmp_path / "old", "mosi.pkl", content)))
    if layout == "mag-bert":
        new = {"clinic": [(parts, None, segment) for parts, _, segment in content["test"]]}
    else:
        new = {"clinic": {key: value for key, value in content["test"].items() if key != "regression_labels"}}
    found = everything(CmuMosiSource(recipe, save(tmp_path / "new", "mosi.pkl", new), like(known[0])))
    same_rows(known, found)
    assert np.isnan(found[1].labels).all()


def test_utterances_of_a_folder_need_no_label(tmp_path):
    recipe = mosi_recipe({"audio": "mlp", "visual": "mlp"}, fold="bclstm_split")
    published_folder(tmp_path)
    lines = [line.split(",") for line in (tmp_path / "label.csv").read_text().splitlines()]
    recipe = mosi_recipe({"audio": "mlp"})
    known = everything(CmuMosiSource(recipe, tmp_path))
    (tmp_path / "label.csv").write_text("\n".join(",".join([row[0], row[3]]) for row in [lines[0], *lines[-9:]]) + "\n")
    found = everything(CmuMosiSource(recipe, tmp_path, like(known[0])))
    same_rows(known, found)
    assert len(found[0].ids) == 9


def test_features_of_another_width_are_refused(tmp_path):
    recipe = mosi_recipe({"audio": "conv1d"})
    known = everything(CmuMosiSource(recipe, save(tmp_path / "old", "mosi.pkl", mag_bert())))
    wider = save(tmp_path / "new", "mosi.pkl", mag_bert(audio=5))
    with pytest.raises(MismatchError, match="not as many features"):
        everything(CmuMosiSource(recipe, wider, like(known[0])))


def test_clips_of_other_names_are_new_samples_without_a_label(tmp_path):
    folder, recipe = crema_d(tmp_path / "clips", real_data("ravdess_clips")), media_recipe()
    known = everything(CremaDSource(recipe, folder))
    for kind, ending in (("AudioWAV", "wav"), ("VideoFlash", "flv")):
        for clip in CLIPS[2:]:
            (folder / kind / f"{clip}.{ending}").unlink()
        (folder / kind / f"{CLIPS[1]}.{ending}").rename(folder / kind / f"visitor.{ending}")
    plan, block = everything(CremaDSource(recipe, folder, like(known[0])))
    assert plan.ids == [CLIPS[0], "visitor"]
    assert plan.classes == known[0].classes
    assert np.isnan(block.labels).tolist() == [False, True]
    place = known[0].ids.index(CLIPS[1])
    np.testing.assert_array_equal(block.values["audio"][1], known[1].values["audio"][place])
    np.testing.assert_array_equal(block.values["video"][1], known[1].values["video"][place])


def test_simulated_samples_cannot_be_prepared_for_a_model_and_that_says_what_to_do(tmp_path):
    with pytest.raises(UsageError) as caught:
        SimulationSource(small_recipe(2), tmp_path, Prepared(tmp_path / "m.safetensors", "hash", [], {}))
    assert "omib embed" in str(caught.value)
