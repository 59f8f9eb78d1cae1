"""``omib recipe new | list | show | explain | copy | check | schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli import recipe_new
from omib_cli.cli.console import say, show_json, show_rows

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name from omib recipe list.")]

recipe = typer.Typer(
    help="Recipes: the YAML files that say everything a run needs.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=opt.group_settings(),
    epilog=opt.examples("omib recipe list", "omib recipe new --modality rna=rna.csv --label clinic.csv:status"),
)


recipe.command(short_help="Write a recipe for files of your own.", epilog=recipe_new.EXAMPLES)(recipe_new.new)


@recipe.command(
    "list",
    short_help="List the recipes and studies that come with omib.",
    epilog=opt.examples("omib recipe list", "omib recipe list --json"),
)
def list_recipes(as_json: opt.AsJson = False) -> None:
    """List the recipes that come with omib, each with what it is for; then the studies, each of several runs."""
    from omib_cli.recipe.load import bundled, bundled_text, studies

    found = {
        kind: {name: bundled_text(name).partition("\n")[0].lstrip("# ") for name in names}
        for kind, names in (("recipes", bundled()), ("studies", studies()))
    }
    if as_json:
        show_json(found)
    else:
        show_rows({**found["recipes"], **found["studies"]})


@recipe.command(
    short_help="Print a recipe, as it is or with every default.",
    epilog=opt.examples("omib recipe show rosmap > my-study.yaml", "omib recipe show my-study.yaml --resolved"),
)
def show(
    name: opt.RecipeArgument,
    resolved: Annotated[bool, typer.Option("--resolved", help="Fill in every default.")] = False,
    overrides: opt.Overrides = None,
) -> None:
    """Print a recipe or a study; with --resolved the recipe with every key that it could have, as it will be run."""
    from omib_cli.errors import UsageError

    if resolved:
        from omib_cli.recipe.load import load_recipe
        from omib_cli.recipe.writing import recipe_text

        say(recipe_text(load_recipe(name, overrides or ()).resolved()).rstrip("\n"))
        return
    if overrides:
        raise UsageError("--set changes what is read, not the file's text", do="add --resolved, or leave --set out")
    from omib_cli.recipe.load import recipe_or_study_text

    say(recipe_or_study_text(name).rstrip("\n"))


@recipe.command(
    short_help="Say in words what a recipe will do.",
    epilog=opt.examples("omib recipe explain rosmap", "omib recipe explain my-study.yaml --set beta.policy=upper"),
)
def explain(recipe: opt.RecipeArgument, overrides: opt.Overrides = None, as_json: opt.AsJson = False) -> None:
    """Say in plain words what each part of a recipe will do: data, split, encoders, training, evaluation."""
    from omib_cli.recipe.explaining import explain as in_words
    from omib_cli.recipe.load import load_recipe

    found = load_recipe(recipe, overrides or ())
    if as_json:
        show_json({"recipe": found.name, "parts": in_words(found)})
    else:
        show_rows({"recipe": found.name, **in_words(found)})


@recipe.command(
    short_help="Copy a recipe to a file of your own.",
    epilog=opt.examples("omib recipe copy sim-i", "omib recipe copy rosmap my-study.yaml"),
)
def copy(
    name: Name,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Where to; else NAME.yaml here.")] = None,
) -> None:
    """Copy a recipe or a study to a file of your own, to change it; nothing is overwritten."""
    from omib_cli.recipe.load import bundled_text

    target = file or Path(f"{name}.yaml")
    opt.write_new(target, bundled_text(name))
    say(str(target))


@recipe.command(
    short_help="Say whether a recipe is valid.",
    epilog=opt.examples("omib recipe check my-study.yaml", "omib recipe check sim-i --set fusion.latent=64 --json"),
)
def check(recipe: opt.RecipeArgument, overrides: opt.Overrides = None, as_json: opt.AsJson = False) -> None:
    """Say whether a recipe, or a study and its recipes, is valid; if not, every problem with its line (exit 2)."""
    from omib_cli.recipe.load import load_study, load_tunable

    if (study := load_study(recipe)) is not None:
        for name in study.recipes:
            load_tunable(name, overrides or ())
        if as_json:
            show_json({"study": study.study, "ok": True})
        else:
            say(f"ok: {study.study}")
        return
    found = load_tunable(recipe, overrides or ())
    if as_json:
        show_json({"recipe": found.name, "ok": True, "hash": found.hash()})
    else:
        say(f"ok: {found.name} ({found.hash()[:12]})")


@recipe.command(
    short_help="Print the JSON Schema of recipes.",
    epilog=opt.examples("omib recipe schema", "omib recipe schema > recipe.schema.json"),
)
def schema() -> None:
    """Print the JSON Schema of recipes, for editors: every key, its type, its default, its meaning."""
    from omib_cli.recipe.schema import recipe_model

    say(json.dumps(recipe_model().model_json_schema(), indent=2))
