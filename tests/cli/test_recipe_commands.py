"""omib recipe list, show, copy, check, schema."""

from __future__ import annotations

import json

import pytest

from omib_cli.cli import app
from omib_cli.recipe.load import bundled, bundled_text, studies


@pytest.fixture
def omib(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        with pytest.raises(SystemExit) as end:
            app.main(["recipe", *map(str, arguments)])
        shown = capsys.readouterr()
        return end.value.code, shown.out, shown.err

    return run


def test_list_names_every_recipe_and_study_with_what_it_is_for(omib):
    lines = omib("list")[1].splitlines()
    assert [line.split()[0] for line in lines] == [*bundled(), *studies()]
    assert all(len(line.split()) > 3 for line in lines)
    as_json = json.loads(omib("list", "--json")[1])
    assert (list(as_json["recipes"]), list(as_json["studies"])) == (list(bundled()), list(studies()))


def test_show_prints_the_file_as_it_is(omib):
    assert omib("show", "sim-i")[1] == bundled_text("sim-i")


def test_copy_makes_a_recipe_that_checks_and_overwrites_nothing(omib, tmp_path):
    assert omib("copy", "sim-i")[:2] == (0, "sim-i.yaml\n")
    assert omib("copy", "sim-ii", "mine.yaml")[0] == 0
    assert omib("check", "mine.yaml")[1].startswith("ok: sim-ii")
    (tmp_path / "mine.yaml").write_text("name: precious")
    assert omib("copy", "sim-i", "mine.yaml")[0] == 2
    assert (tmp_path / "mine.yaml").read_text() == "name: precious"
    assert omib("copy", "sim-i", "no/such/folder/mine.yaml")[0] == 2


def test_check_takes_overrides(omib):
    assert omib("check", "sim-i", "--set", "train.epochs=1")[0] == 0
    code, out, err = omib("check", "sim-i", "--set", "train.epoch=1", "--set", "beta.policy=mid")
    assert (code, out) == (2, "")
    assert "--set: train.epoch: unknown key; did you mean 'epochs'?" in err
    assert "2 problems" in err


def test_schema_is_json_that_explains_every_key(omib):
    schema = json.loads(omib("schema")[1])
    train = schema["$defs"]["TrainOptions"]["properties"]
    assert train["epochs"]["default"] == 90
    undocumented = {
        f"{name}.{key}"
        for name, section in [*schema["$defs"].items(), ("Recipe", schema)]
        for key, field in section.get("properties", {}).items()
        if "description" not in field and "const" not in field
    }
    assert not undocumented
