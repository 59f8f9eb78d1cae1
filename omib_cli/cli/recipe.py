"""``omib recipe list | show | copy | check | schema``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from omib_cli.cli import options as opt
from omib_cli.cli.console import say, show_json, show_rows

Name = Annotated[str, typer.Argument(metavar="NAME", help="A name from omib recipe list.")]

recipe = typer.Typer(
    help="Recipes: the YAML files that say everything a run needs.",
    no_args_is_help=True,
    rich_markup_mode=None,
    context_settings=opt.group_settings(),
    epilog=opt.examples("omib recipe list", "omib recipe copy sim-i my-own.yaml"),
)


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


@recipe.command(epilog=opt.examples("omib recipe show sim-i", "omib recipe show rosmap > my-study.yaml"))
def show(name: Name) -> None:
    """Print a recipe or a study that comes with omib."""
    from omib_cli.recipe.load import bundled_text

    say(bundled_text(name).rstrip("\n"))


@recipe.command(
    short_help="Copy a recipe to a file of your own.",
    epilog=opt.examples("omib recipe copy sim-i", "omib recipe copy rosmap my-study.yaml"),
)
def copy(
    name: Name,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="Where to; else NAME.yaml here.")] = None,
) -> None:
    """Copy a recipe or a study to a file of your own, to change it; nothing is overwritten."""
    from omib_cli.errors import UsageError
    from omib_cli.recipe.load import bundled_text

    text, target = bundled_text(name), file or Path(f"{name}.yaml")
    try:
        with target.open("x", encoding="utf-8") as opened:
            opened.write(text)
    except FileExistsError as error:
        raise UsageError("the file is there already", where=target, do="give another name, or remove it") from error
    except OSError as error:
        raise UsageError("the file cannot be written", where=target, got=error.strerror) from error
    say(str(target))


@recipe.command(
    short_help="Say whether a recipe is valid.",
    epilog=opt.examples("omib recipe check my-study.yaml", "omib recipe check sim-i --set fusion.latent=64 --json"),
)
def check(recipe: opt.RecipeArgument, overrides: opt.Overrides = None, as_json: opt.AsJson = False) -> None:
    """Say whether a recipe, or a study and its recipes, is valid; if not, every problem with its line (exit 2)."""
    from omib_cli.recipe.load import load_recipe, load_study

    if (study := load_study(recipe)) is not None:
        for name in study.recipes:
            load_recipe(name, overrides or ())
        if as_json:
            show_json({"study": study.study, "ok": True})
        else:
            say(f"ok: {study.study}")
        return
    found = load_recipe(recipe, overrides or ())
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
