"""Every module can be imported with the versions that are installed, and what it imports is declared."""

from __future__ import annotations

import ast
import pkgutil
import re
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import omib_cli

ROOT = Path(__file__).parents[1]
NAMES = {"PIL": "pillow", "sklearn": "scikit-learn", "yaml": "pyyaml"}
"""Packages that are imported by another name than they are installed by."""


def test_every_module_can_be_imported():
    for module in pkgutil.walk_packages(omib_cli.__path__, "omib_cli."):
        if not module.name.endswith("__main__"):
            import_module(module.name)


def test_every_imported_package_is_a_dependency_that_pyproject_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    every = [*project["dependencies"], *project["optional-dependencies"]["tune"]]
    declared = {re.split(r"[<>=~! \[]", each)[0].lower() for each in every}
    used = set()
    for path in (ROOT / "omib_cli").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                used |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                used.add(node.module.split(".")[0])
    foreign = used - set(sys.stdlib_module_names) - {"omib_cli"}
    named = {NAMES.get(name, name.lower().replace("_", "-")) for name in foreign}
    assert named - declared == {"pydantic-core"}, "imported and not declared (pydantic-core is part of pydantic)"
