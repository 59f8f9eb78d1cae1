"""Adds the recipes and studies beside the package to the wheel, as ``omib_cli/recipes``; all else is in pyproject.toml."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["omib_cli", "omib_cli.*"]), "omib_cli.recipes"],
    package_dir={"omib_cli.recipes": "recipes"},
    package_data={"omib_cli.recipes": ["*.yaml", "studies/*.yaml"]},
)
