"""omib recipe list, show, explain, copy, check, schema."""

from __future__ import annotations

import json

import pytest

from omib_cli.cli import app
from omib_cli.recipe.load import bundled, bundled_text, load_recipe, studies


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


def test_show_prints_a_file_of_ones_own_too(omib, tmp_path):
    (tmp_path / "mine.yaml").write_text("# of my own\nname: mine\n")
    assert omib("show", "mine.yaml")[1] == "# of my own\nname: mine\n"
    assert omib("show", "sim-i", "--set", "train.epochs=3")[0] == 2


def test_a_resolved_recipe_says_every_key_and_is_the_same_recipe(omib, tmp_path):
    code, out, _ = omib("show", "rosmap", "--resolved", "--set", "train.epochs=7")
    assert code == 0
    (tmp_path / "all.yaml").write_text(out)
    assert load_recipe("all.yaml").hash() == load_recipe("rosmap", ["train.epochs=7"]).hash()
    for key in ("heads: 4", "impute: refuse", "holdout: 0.1", "bootstrap: 1000"):
        assert key in out


def test_explain_says_each_part_in_words(omib):
    out = omib("explain", "rosmap")[1]
    for part in ("data", "split", "preprocessing", "encoder mirna", "warm-up", "information", "beta", "training"):
        assert f"\n{part} " in out
    found = json.loads(omib("explain", "rosmap", "--json", "--set", "beta.policy=upper")[1])
    assert "M_u" in found["parts"]["beta"]
    assert omib("explain", "no-such-recipe")[0] == 2


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
