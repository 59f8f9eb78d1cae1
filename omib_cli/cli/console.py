"""The only place that writes to the terminal: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import math
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from omib_cli.distributed import processes
from omib_cli.errors import Interrupted, OmibError, legible

if TYPE_CHECKING:
    from omib_cli.stages.compare import GridResult
    from omib_cli.stages.result import StageResult
    from omib_cli.stages.tune import TuneResult

_STYLES = {"error": "31;1", "warning": "33", "try": "36"}


def say(text: str) -> None:
    """Write to stdout, at once: a reader that has left is noticed here. Of several processes the first one speaks."""
    if not processes.is_rank_zero():
        return
    sys.stdout.write(f"{legible(text)}\n")
    sys.stdout.flush()


def remark(text: str, label: str = "") -> None:
    """Write a line to stderr, its label coloured on a terminal; of several processes the first one does."""
    if not processes.is_rank_zero():
        return
    colour = _STYLES.get(label)
    start, text = f"{label}:" if label else "", legible(text)
    tinted = colour is not None and takes_colour()
    sys.stderr.write(f"\033[{colour}m{start}\033[0m{text}\n" if tinted else f"{start}{text}\n")
    sys.stderr.flush()


def takes_colour() -> bool:
    """Whether stderr is to be coloured: a terminal that can, or FORCE_COLOR; never with NO_COLOR (no-color.org)."""
    if os.environ.get("NO_COLOR") or is_dumb():
        return False
    return bool(os.environ.get("FORCE_COLOR")) or sys.stderr.isatty()


def is_dumb() -> bool:
    """Whether the terminal understands no control codes, as an editor's does not."""
    return os.environ.get("TERM", "").lower() in ("dumb", "unknown")


def show_error(error: OmibError, *, debug: bool = False) -> None:
    """The error's rows on stderr: what, where, got, expected, what to try; problems of a recipe one a line.

    What another process than the first meets is said in one line, since all meet the same as a rule.
    """
    if not processes.is_rank_zero():
        sys.stderr.write(f"process {processes.rank()}: {legible(error.what)}\n")
    if debug:
        traceback.print_exception(error)
    for label, text in error.lines():
        shown = "stopped" if label == "error" and isinstance(error, Interrupted) else label
        if not shown:
            remark(f"  {text}")
        else:
            remark(f"{' ' * max(1, 9 - len(shown))}{text}", shown)


def show_result(result: StageResult, *, as_json: bool) -> None:
    """A finished artifact on stdout: one line of JSON, or its path and figures for a reader."""
    if as_json:
        show_json(
            {
                "out": str(result.out),
                "kind": result.kind,
                "hash": result.hash,
                "figures": result.figures,
                "already_there": result.already_there,
            }
        )
        return
    state = "  (done before, up to date)" if result.already_there else ""
    say(f"{result.out}  {result.kind} {result.hash[:12]}{state}")
    show_rows({name: value for name, value in result.figures.items() if value is not None}, indent="  ")


def show_grid(result: GridResult, *, as_json: bool) -> None:
    """The tables of a grid of runs on stdout."""
    if as_json:
        tables = [table.plain() for table in result.comparisons]
        show_json({"out": str(result.out), "kind": "comparison", "missing": result.missing, "tables": tables})
        return
    for table in result.comparisons:
        say(f"{table.recipe}\n\n{table.markdown()}\n")
    say(f"{result.out}  tables and figures" + (f"; {result.missing} runs are missing" if result.missing else ""))


def show_tuning(result: TuneResult, *, as_json: bool) -> None:
    """What a search has found, on stdout."""
    if as_json:
        show_json({"out": str(result.out), "kind": "tuning", "best_recipe": str(result.recipe), **result.found.plain()})
        return
    say(f"{result.found.recipe}\n\n{result.found.markdown()}\n")
    if result.found.best is not None:
        say(f"{result.recipe}  the recipe of the best trial; tables and figures beside it")


def show_json(values: Mapping[str, Any]) -> None:
    """One line of JSON on stdout; what is no finite number becomes null."""
    say(json.dumps(_plain(values), allow_nan=False))


def show_rows(rows: Mapping[str, Any], indent: str = "") -> None:
    """Names and values in two columns on stdout."""
    width = max(map(len, rows), default=0)
    for name, value in rows.items():
        say(f"{indent}{name:<{width}}  {readable(value)}")


def readable(value: Any) -> str:
    """A value as a reader likes it: four digits, lists and mappings in words."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {readable(below)}" for name, below in value.items())
    if isinstance(value, Iterable) and not isinstance(value, str):
        return ", ".join(map(readable, value))
    return str(value)


def _plain(value: Any) -> Any:
    """What JSON can hold: numpy scalars as numbers, NaN as null, paths as text."""
    if isinstance(value, Mapping):
        return {str(key): _plain(below) for key, below in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(below) for below in value]
    if hasattr(value, "item"):
        return _plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, type(None))) else str(value)
