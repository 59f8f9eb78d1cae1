"""Recipes that another version of omib wrote into a file: refused by name of that version, never a traceback."""

from __future__ import annotations

import json

import h5py
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file
from small import small_recipe, toy_dataset

from omib_cli.artifacts.format import PROVENANCE
from omib_cli.cli import app
from omib_cli.errors import MismatchError
from omib_cli.evaluation.runs import read_run
from omib_cli.runtime.job import Job
from omib_cli.stages import embed, train


@pytest.fixture
def files(tmp_path):
    """A dataset, a model and an embedding, as this version writes them."""
    dataset, job = toy_dataset(tmp_path / "d.h5"), Job(device="cpu", threads=1)
    model = train.run(small_recipe(), dataset, tmp_path / "model.safetensors", job).out
    return {"dataset": dataset, "model": model, "embedding": embed.run(dataset, model, tmp_path / "e.h5ad", job).out}


def rewrite(path, change):
    """Alter what a file says about itself, as if another version had written it."""

    def changed(text):
        values = json.loads(text)
        change(values)
        return json.dumps({**values, "omib": "9.8.7"})

    if path.suffix == ".safetensors":
        with safe_open(path, framework="np") as file:
            weights, header = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
        save_file(weights, path, {**header, "omib": changed(header["omib"])})
        return
    with h5py.File(path, "r+") as file:
        place = PROVENANCE[file.attrs["omib-kind"]]
        text = changed(file[place][()])
        del file[place]
        file[place] = text


def new_key(values):
    values["recipe"]["fusion"]["gravity"] = 9.81


def new_section(values):
    values["recipe"]["antenna"] = {"length": 3}


def new_encoder(values):
    values["recipe"]["modalities"]["x1"]["encoder"] = {"kind": "mamba", "width": 8}


def new_method(values):
    values["recipe"]["fusion"] = {"method": "omib-2"}


def new_task(values):
    values["recipe"]["task"] = {"kind": "ranking"}


def new_source(values):
    values["recipe"]["data"] = {"source": "telepathy"}


def new_value(values):
    values["recipe"]["head"]["activation"] = "swish"


CHANGES = {
    "gravity": new_key,
    "antenna": new_section,
    "mamba": new_encoder,
    "omib-2": new_method,
    "ranking": new_task,
    "telepathy": new_source,
    "swish": new_value,
}


@pytest.mark.parametrize("word", CHANGES)
def test_what_another_version_wrote_and_this_one_does_not_know_is_refused_by_its_name(files, capsys, word):
    commands = {
        "dataset": ["train", files["dataset"], "--dry-run"],
        "model": ["embed", files["dataset"], "--model", files["model"], "--fresh"],
        "embedding": ["evaluate", files["embedding"], "-o", files["dataset"].with_name("report")],
    }
    for kind in ("embedding", "model", "dataset"):
        rewrite(files[kind], CHANGES[word])
        with pytest.raises(SystemExit) as end:
            app.main([*map(str, commands[kind])])
        assert end.value.code == MismatchError.exit_code
        shown = capsys.readouterr().err
        assert "written by omib 9.8.7" in shown
        assert word in shown
        assert files[kind].name in shown
    assert not files["dataset"].with_name("report").exists()


def test_such_a_file_can_still_be_inspected(files, capsys):
    for path in files.values():
        rewrite(path, new_encoder)
        with pytest.raises(SystemExit) as end:
            app.main(["inspect", str(path)])
        assert end.value.code == 0
        assert "omib 9.8.7" in capsys.readouterr().out


def test_another_recipe_can_take_the_place_of_one_that_is_not_understood(files):
    rewrite(files["dataset"], new_encoder)
    recipe = files["dataset"].with_name("small.yaml")
    recipe.write_text(small_recipe().model_dump_json(exclude_unset=True))
    with pytest.raises(SystemExit) as end:
        app.main(["train", str(files["dataset"]), "--recipe", str(recipe), "--dry-run"])
    assert end.value.code == 0


def test_a_mistake_in_set_is_not_blamed_on_the_file(files, capsys):
    with pytest.raises(SystemExit) as end:
        app.main(["train", str(files["dataset"]), "--set", "train.epoch=3", "--dry-run"])
    assert end.value.code == 2
    assert "did you mean 'epochs'" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["dataset", "model", "embedding"])
def test_a_description_that_says_more_than_this_version_knows_is_refused_by_name(files, capsys, kind):
    rewrite(files[kind], lambda values: values.update(signature="abc"))
    with pytest.raises(SystemExit) as end:
        app.main(["inspect", str(files[kind])])
    assert end.value.code == MismatchError.exit_code
    assert "written by omib 9.8.7: signature" in capsys.readouterr().err


def test_the_output_of_another_version_is_stale_not_a_crash(files, capsys):
    rewrite(files["model"], new_encoder)
    rewrite(files["model"], lambda values: values.update(recipe_hash="0" * 64))
    with pytest.raises(SystemExit) as end:
        app.main(["train", str(files["dataset"])])
    assert end.value.code == 4
    assert "mamba" in capsys.readouterr().err


def test_a_stored_recipe_is_read_as_it_was_written(files):
    assert read_run(files["embedding"]).recipe.hash() == small_recipe().hash()
