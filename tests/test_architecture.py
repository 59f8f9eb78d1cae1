"""The shape of the package: imports run one way, modules say what they are, the terminal has one writer."""

from __future__ import annotations

import ast
from collections.abc import Callable
from functools import cache
from pathlib import Path

import omib_cli

PACKAGE = Path(omib_cli.__file__).parent
FLOORS = [
    {"errors"},
    {"distributed"},
    {"runtime"},
    {"recipe"},
    {"nn"},
    {"encoders", "tasks", "artifacts"},
    {"fusion", "data"},
    {"sources", "training", "information", "evaluation"},
    {"report"},
    {"stages"},
    {"cli"},
]
FLOOR = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "recipes" not in path.relative_to(PACKAGE).parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def room(module: str) -> str | None:
    """The room of a module of omib's; None for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] != "__main__" else None


def imported(path: Path) -> set[str]:
    """Every module named by an import, wherever in the file it stands."""
    found = set()
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def own_imports(path: Path) -> set[str]:
    known = set(map(name_of, MODULES))
    return {name for name in imported(path) if name in known and name != "omib_cli"}


def calls(path: Path) -> set[str]:
    return {ast.unparse(node.func) for node in ast.walk(tree(path)) if isinstance(node, ast.Call)}


def test_every_room_has_its_floor():
    assert {room(name_of(path)) for path in MODULES} - {None} == set(FLOOR)


def offenders(found: Callable[[Path], set[str]]) -> dict[str, set[str]]:
    """What a check finds, by module, where it finds anything."""
    return {name_of(path): wrong for path in MODULES if (wrong := found(path))}


def test_imports_run_down_and_never_sideways_within_a_floor_of_several_rooms():
    def wrong(path: Path) -> set[str]:
        here = room(name_of(path))
        if here is None:
            return set()
        others = {name: room(name) for name in own_imports(path)}
        return {name for name, there in others.items() if there not in (None, here) and FLOOR[there] >= FLOOR[here]}

    assert offenders(wrong) == {}


def test_no_module_imports_itself_by_a_detour():
    graph = {name_of(path): own_imports(path) - {name_of(path)} for path in MODULES}
    packages = {name_of(path) for path in MODULES if path.name == "__init__.py"}
    done: set[str] = set()

    def visit(module: str, above: tuple[str, ...]) -> None:
        assert module not in above, " -> ".join([*above[above.index(module) :], module])
        if module in done:
            return
        for below in graph[module] - packages:
            visit(below, (*above, module))
        done.add(module)

    for module in graph:
        visit(module, ())


def test_a_name_of_a_class_means_one_thing():
    places: dict[str, list[str]] = {}
    for path in MODULES:
        for node in tree(path).body:
            if isinstance(node, ast.ClassDef):
                places.setdefault(node.name, []).append(name_of(path))
    assert {name: where for name, where in places.items() if len(where) > 1} == {}


def test_every_module_says_what_it_is():
    assert [name_of(path) for path in MODULES if not ast.get_docstring(tree(path))] == []


ALONE = "omib_cli.distributed.waiting"
"""Ends the program while its main thread, and with it the command line, waits in C++ and hears nothing."""


def test_only_the_command_line_prints_exits_and_knows_its_libraries():
    ends = {"print", "exit", "quit", "sys.exit", "os._exit", "sys.stdout.write", "sys.stderr.write"}

    def wrong(path: Path) -> set[str]:
        if room(name_of(path)) in ("cli", None) or name_of(path) == ALONE:
            return set()
        return calls(path) & ends | imported(path) & {"typer", "rich", "argparse"}

    assert offenders(wrong) == {}


def test_within_the_command_line_only_the_console_writes():
    writers = {"sys.stdout.write", "sys.stderr.write", "print", "typer.echo", "typer.secho"}
    assert set(offenders(lambda path: calls(path) & writers)) <= {"omib_cli.cli.console", ALONE}


def test_no_module_but_the_restricted_reader_unpickles_and_none_depends_on_click():
    forbidden = ("pickle", "cPickle", "dill", "joblib", "click", "typer._click")
    reader = {"omib_cli.sources.restricted_pickle": {"pickle"}}  # reads foreign files, runs nothing they ask for
    assert offenders(lambda path: {name for name in imported(path) if name.startswith(forbidden)}) == reader


def test_torch_and_numpy_are_never_asked_to_unpickle():
    def wrong(path: Path) -> set[str]:
        found = set()
        for node in ast.walk(tree(path)):
            if not isinstance(node, ast.Call):
                continue
            given = {keyword.arg: ast.unparse(keyword.value) for keyword in node.keywords if keyword.arg}
            is_load = ast.unparse(node.func) == "torch.load"
            if given.get("weights_only", "False" if is_load else "True") != "True":
                found.add(ast.unparse(node))
            if given.get("allow_pickle", "False") != "False":
                found.add(ast.unparse(node))
        return found

    assert offenders(wrong) == {}


def test_the_checks_above_find_what_they_look_for(tmp_path):
    """The checks read code; this shows that they can read."""
    module = tmp_path / "bad.py"
    module.write_text(
        "import pickle\nfrom typer import _click\ndef f():\n    from omib_cli.cli import app\n    print(app)\n"
    )
    assert {"pickle", "typer._click", "omib_cli.cli.app"} <= imported(module)
    assert own_imports(module) == {"omib_cli.cli", "omib_cli.cli.app"}
    assert calls(module) == {"print"}


def test_network_and_home_folder_are_left_alone():
    reach = {"requests", "urllib.request", "http.client", "socket"}
    assert offenders(lambda path: imported(path) & reach | calls(path) & {"Path.home", "os.path.expanduser"}) == {}
