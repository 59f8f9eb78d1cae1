"""Reading recipes: what YAML means, what is refused and how it is said."""

from __future__ import annotations

import subprocess
import sys
from typing import Literal

import pytest
from small import small_recipe

from omib_cli.errors import RecipeError, UsageError
from omib_cli.recipe.encoders import ENCODERS, EncoderOptions
from omib_cli.recipe.fusion import FUSIONS, FusionOptions
from omib_cli.recipe.load import bundled, bundled_text, load_recipe, recipe_from_values
from omib_cli.recipe.sources.registry import SOURCES
from omib_cli.recipe.yaml_reader import read_yaml

RECIPE = """\
# a recipe
name: mine
data:
  source: simulation
  case: i
  samples: 1e3
modalities:
  x1: {}
  x2:
    encoder:
      kind: mlp
      width: 64
train:
  epochs: 5
  optimiser:
    lr: 1e-4
"""


@pytest.fixture
def written(tmp_path, monkeypatch):
    """A function that writes a recipe to mine.yaml in the current folder and returns that name."""
    monkeypatch.chdir(tmp_path)

    def write(text: str | bytes) -> str:
        (tmp_path / "mine.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return "mine.yaml"

    return write


def problems(reference, *overrides):
    with pytest.raises(RecipeError) as caught:
        load_recipe(reference, overrides)
    return caught.value.problems


def test_a_recipe_is_read_by_path_and_by_name(written):
    assert load_recipe(written(RECIPE)).name == "mine"
    assert load_recipe("sim-i").name == "sim-i"
    assert "sim-i" in bundled()
    assert bundled_text("sim-i").startswith("#")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E3", 1000.0),
        ("-.5", -0.5),
        ("010", 10),
        ("0o10", "0o10"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("12:30:00", "12:30:00"),
        ("2026-01-01", "2026-01-01"),
        ("no", "no"),
        ("yes", "yes"),
        ("on", "on"),
        ("off", "off"),
        ("y", "y"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("'5'", "5"),
        ("-.inf", float("-inf")),
        ("9" * 30, 1e30),
    ],
)
def test_plain_values_mean_what_they_look_like(text, value):
    found = read_yaml(f"key: {text}").values["key"]
    assert found == value
    assert type(found) is type(value)


def test_every_key_has_its_line_also_through_anchors_and_merges():
    found = read_yaml("base: &b\n  lr: 1\n  batch: 2\nfirst: *b\nsecond:\n  <<: *b\n  lr: 3\nlist:\n  - 1\n  - 2\n")
    assert found.problems == []
    assert found.values["first"] == {"lr": 1, "batch": 2}
    assert found.values["second"] == {"lr": 3, "batch": 2}
    assert found.lines["base", "batch"] == 3
    assert found.lines["second", "lr"] == 7
    assert found.lines["list", 1] == 10


@pytest.mark.parametrize("text", ["a: &r [*r]", "a: !!python/name:os.system x", "a: !!python/object:os.x {}", "[a]: 1"])
def test_yaml_that_is_no_plain_data_is_refused(text):
    assert len(read_yaml(text).problems) == 1


def test_a_duplicate_key_is_refused_with_both_lines(written):
    found = problems(written(RECIPE + "name: again\n"))
    assert found == ["mine.yaml:17: name: this key is there twice; the first is on line 2"]


def test_five_mistakes_are_five_problems_in_one_message_with_their_lines(written):
    text = (
        RECIPE.replace("case: i", "case: iv")
        .replace("      width: 64", "      widht: 64")
        .replace("  epochs: 5", "  epoch: 5")
        .replace("lr: 1e-4", "lr: fast")
    )
    assert problems(written(text + "beta:\n  policy: unifrom\n")) == [
        "mine.yaml:5: data.case: got 'iv', expected i, ii or iii; did you mean 'i'?",
        "mine.yaml:12: modalities.x2.encoder.widht: unknown key; did you mean 'width'?",
        "mine.yaml:14: train.epoch: unknown key; did you mean 'epochs'?",
        "mine.yaml:16: train.optimiser.lr: got 'fast', expected a number",
        "mine.yaml:18: beta.policy: got 'unifrom', expected uniform, midpoint, upper, lower or value; "
        "did you mean 'uniform'?",
    ]


def either(registry) -> str:
    *others, last = registry
    return f"{', '.join(others)} or {last}"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("name: mine\n", "", "mine.yaml:2: name: this key is missing"),
        (
            "simulation",
            "simulatoin",
            f"mine.yaml:4: data.source: got 'simulatoin', expected {either(SOURCES)}; did you mean 'simulation'?",
        ),
        ("  source: simulation\n", "", "mine.yaml:3: data.source: this key is missing"),
        ("epochs: 5", "epochs: 0", "mine.yaml:14: train.epochs: got 0, expected at least 1"),
        ("epochs: 5", "epochs: 2.5", "mine.yaml:14: train.epochs: got 2.5, expected a whole number"),
        ("epochs: 5", "epochs: true", "mine.yaml:14: train.epochs: got true, expected a whole number"),
        ("epochs: 5", "epochs: '5'", "mine.yaml:14: train.epochs: got '5', expected a whole number"),
        ("epochs: 5", "epochs:", "mine.yaml:14: train.epochs: got nothing, expected a whole number"),
        ("lr: 1e-4", "lr: .inf", "mine.yaml:16: train.optimiser.lr: got inf, expected a finite number"),
        (
            "kind: mlp",
            "kind: mpl",
            f"mine.yaml:11: modalities.x2.encoder.kind: got 'mpl', expected {either(ENCODERS)}; did you mean 'mlp'?",
        ),
        (
            "name: mine",
            "name: [a]",
            "mine.yaml:2: name: got a list, expected text (in quotes if it looks like a number)",
        ),
        ("  case: i\n", "", "mine.yaml:3: data: give either `case` or `parts`"),
        ("x2:", "x 2:", "mine.yaml:7: modalities: modality name 'x 2': letters, digits, '_' and '-' only"),
    ],
)
def test_a_problem_says_where_what_was_found_and_what_was_expected(written, old, new, problem):
    assert old in RECIPE
    assert problems(written(RECIPE.replace(old, new, 1))) == [problem]


def test_problems_inside_a_tagged_section_are_found_even_where_tag_and_key_have_the_same_name(written):
    text = "name: t\ndata:\n  source: tables\n  tables:\n    a: {files: 3}\nmodalities: {a: {}, b: {}}\n"
    assert problems(written(text)) == [
        "mine.yaml:2: data.labels: this key is missing",
        "mine.yaml:5: data.tables.a.files: got 3, expected text (in quotes if it looks like a number), a list or a "
        "section with keys of its own",
    ]


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "mine.yaml:1: the file is empty"),
        ("# nothing\n", "mine.yaml:1: the file is empty"),
        ("- a\n- b\n", "mine.yaml:1: got a list at the top"),
        ("name: a: b\n", "mine.yaml:1: column 8: no valid YAML"),
        ("a:\n\t- b\n", "mine.yaml:2: column 1: no valid YAML"),
        (b"name: caf\xe9\n", "mine.yaml:1: byte 0xe9 is no UTF-8 text"),
        ("[" * 5000, "mine.yaml:1: brackets or sections are nested too deeply"),
        (b"name: a\n\x00", "mine.yaml:2: column 1: no valid YAML"),
    ],
)
def test_a_file_that_is_no_recipe_at_all_is_said_to_be_so(written, text, part):
    (found,) = problems(written(text))
    assert found.startswith(part)


def test_set_replaces_and_adds_keys_with_values_read_as_yaml(written):
    found = load_recipe(
        written(RECIPE),
        ["beta.policy=value", "beta.value=3e-2", "modalities.x1.encoder={kind: mlp, hidden: []}", "train.clip=null"],
        seed=7,
    )
    assert (found.beta.value, found.modalities["x1"].encoder.hidden, found.seed) == (0.03, [], 7)


def test_set_has_the_last_word_over_the_file_and_over_earlier_ones(written):
    assert load_recipe(written(RECIPE), ["train.epochs=6", "train.epochs=7"]).train.epochs == 7


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("train.epoch=3", "--set: train.epoch: unknown key; did you mean 'epochs'?"),
        (
            "beta.policy=unifrom",
            "--set: beta.policy: got 'unifrom', expected uniform, midpoint, upper, lower or value; "
            "did you mean 'uniform'?",
        ),
        ("train={epoch: 3}", "--set: train.epoch: unknown key; did you mean 'epochs'?"),
        ("train.epochs", "--set: got 'train.epochs', expected KEY=VALUE, such as train.epochs=5"),
        ("train..epochs=3", "--set: got 'train..epochs=3', expected KEY=VALUE, such as train.epochs=5"),
        ("name.x=3", "--set: name.x: name has no keys of its own"),
    ],
)
def test_a_mistake_in_set_is_reported_as_one_of_set(written, override, problem):
    assert problems(written(RECIPE), override) == [problem]


def test_a_section_may_leave_out_the_name_that_is_its_default(written):
    class Other(FusionOptions):
        method: Literal["other"] = "other"

    class Odd(EncoderOptions):
        kind: Literal["odd"] = "odd"

    FUSIONS.add(Other, "nowhere:Other")
    ENCODERS.add(Odd, "nowhere:Odd")
    try:
        text = RECIPE.replace("      kind: mlp\n", "")
        found = load_recipe(written(text), ["fusion.latent=32"])
        assert (found.fusion.method, found.fusion.latent) == ("omib", 32)
        assert (found.modalities["x2"].encoder.kind, found.modalities["x2"].encoder.width) == ("mlp", 64)
        assert load_recipe("mine.yaml", ["fusion.method=other"]).fusion.method == "other"
        (problem,) = problems("mine.yaml", "fusion.method=othre")
        assert problem.endswith("did you mean 'other'?")
    finally:
        FUSIONS.remove("other")
        ENCODERS.remove("odd")


def test_another_fusion_method_forgets_the_options_of_the_one_before(written):
    text = RECIPE + "fusion: {method: omib, latent: 32, norm: false}\n"
    found = load_recipe(written(text), ["fusion.latent=16", "fusion.method=deep-ib"])  # whichever is said first
    assert found.fusion.model_dump() == {"method": "deep-ib", "latent": 16, "kl": 1e-3, "draws": 10}
    carried = recipe_from_values(load_recipe("mine.yaml").resolved(), ["fusion.method=concat"])
    assert carried.fusion.model_dump() == {"method": "concat"}
    assert load_recipe("mine.yaml", ["fusion.method=omib"]).fusion.latent == 32  # the same method keeps them
    (problem,) = problems("mine.yaml", "fusion.method=concat", "fusion.latent=16")
    assert "--set: fusion.latent: unknown key" in problem


@pytest.mark.parametrize(
    ("overrides", "problem"),
    [
        (["film", "fusion.base=x9"], "`fusion.base` 'x9' is none of the modalities x1, x2"),
        (["deep-ib", "fusion.kl=[1, 2, 3]"], "`fusion.kl` has 3 weights for 2 modalities"),
        (["mmib-cui", "fusion.latent=30"], "latent width 30 is no multiple of `fusion.heads` (4)"),
        (["omib", "fusion.latent=30"], "latent width 30 is no multiple of `fusion.heads` (4)"),
        (["omib", "fusion.heads=3"], "latent width 256 is no multiple of `fusion.heads` (3)"),
        (["omib", "fusion={attention: cross, heads: 3}"], "latent width 256 is no multiple of `fusion.heads` (3)"),
        (
            ["omib", "fusion={attention: single, latent: 5}"],
            "2 modalities of latent width 5 make 10, which is no multiple of `fusion.heads` (4)",
        ),
        (["misa", "fusion.width=5"], "expected a multiple of 2"),
    ],
)
def test_options_of_a_method_must_fit_the_modalities(written, overrides, problem):
    method, option = overrides
    (found,) = problems(written(RECIPE), f"fusion.method={method}", option)
    assert problem in found


def test_a_method_that_compares_modalities_needs_two(written):
    one = load_recipe(written(RECIPE)).resolved() | {"modalities": {"x1": {"encoder": {"kind": "mlp"}}}}
    one["data"] = {
        "source": "tables",
        "tables": {"x1": {"files": "a.csv"}},
        "labels": {"files": "b.csv", "column": "y"},
    }
    assert recipe_from_values(one, ["fusion.method=concat"]).fusion.method == "concat"
    with pytest.raises(RecipeError) as caught:
        recipe_from_values(one, ["fusion.method=misa"])
    assert "misa needs 2 modalities, got 1" in caught.value.problems[0]


def test_a_stored_recipe_comes_back_as_it_was_and_takes_overrides(written):
    recipe = load_recipe(written(RECIPE))
    assert recipe_from_values(recipe.resolved()).hash() == recipe.hash()
    assert recipe_from_values(recipe.resolved(), ["train.epochs=9"], seed=4).train.epochs == 9
    with pytest.raises(RecipeError) as caught:
        recipe_from_values({**recipe.resolved(), "tarin": {}})
    assert caught.value.problems == ["tarin: unknown key; did you mean 'train'?"]


def test_an_unknown_recipe_is_met_with_the_closest_name(tmp_path):
    with pytest.raises(UsageError, match="did you mean 'sim-iii'"):
        load_recipe("simiii")
    with pytest.raises(UsageError, match="no such recipe file"):
        load_recipe(tmp_path / "none.yaml")
    with pytest.raises(UsageError, match="is a folder"):
        load_recipe(tmp_path)


def test_reading_a_recipe_imports_no_heavy_library():
    code = "import sys; from omib_cli.recipe.load import load_recipe; load_recipe('sim-i'); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "numpy", "h5py", "pandas", "typer"} & set(loaded)


@pytest.mark.parametrize(
    ("fusion", "expected"),
    [
        ({"method": "omib"}, True),
        ({"method": "omib", "main_training": "without-omf"}, False),
        ({"method": "concat"}, False),
    ],
)
def test_only_a_loss_with_beta_asks_for_its_bound(fusion, expected):
    assert small_recipe(fusion=fusion).fusion.uses_beta is expected


@pytest.mark.parametrize(
    "fusion",
    [
        {"attention": "single", "latent": 6},  # 12 is divided by 4 heads, though 6 is not
        {"attention": "none", "latent": 5},
        {"main_training": "without-omf", "latent": 5},
    ],
)
def test_heads_must_divide_only_what_there_is(fusion):
    assert small_recipe(fusion={"method": "omib", **fusion}).fusion.heads == 4


CLIPS = """name: clips
data: {source: crema-d, video: {frames: 3}}
modalities:
  audio: {encoder: {kind: resnet}}
  video: {encoder: {kind: resnet}}
"""


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        (
            "modalities.video.encoder.frames=4",
            "`modalities.video.encoder`: `frames` is 4, but 3 of each clip are stored",
        ),
        ("modalities.audio.encoder.frames=1", "`modalities.audio.encoder`: `frames` is for video"),
        ("modalities.audio.encoder.flip=true", "`crop` and `flip` are for images"),
        ("modalities.audio.encoder.crop=0.5", "`crop` and `flip` are for images"),
        ("modalities.video.encoder.warp=0.1", "`warp` is for spectrograms"),
    ],
)
def test_options_of_an_encoder_must_suit_what_its_source_makes(written, override, problem):
    assert load_recipe(written(CLIPS), ["modalities.video.encoder.frames=3"]).modalities["video"].encoder.frames == 3
    (found,) = problems("mine.yaml", override)
    assert problem in found


def test_an_image_has_neither_frames_nor_frequencies():
    spots = {"source": "spatial", "sections": {"a": {"split": "train"}}}
    digits = {"source": "av-digits"}
    for data in (spots, digits):
        for option in ({"frames": 2}, {"warp": 0.1}):
            values = {"name": "x", "data": data, "modalities": {"image": {"encoder": {"kind": "resnet", **option}}}}
            with pytest.raises(RecipeError, match="1 problem"):
                recipe_from_values(values)


def test_all_that_does_not_fit_is_said_at_once(written):
    (found,) = problems(written(RECIPE), "fusion.method=mmib-cui", "fusion.latent=30", "fusion.base=x9")
    assert "x9" in found
    assert "no multiple" in found
