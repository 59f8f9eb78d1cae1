"""Adds recipes and studies, which lie beside the package, to the wheel as ``omib_cli/recipes``."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["omib_cli", "omib_cli.*"]), "omib_cli.recipes", "omib_cli.recipes.studies"],
    package_dir={"omib_cli.recipes": "recipes"},
    package_data={"omib_cli.recipes": ["*.yaml"], "omib_cli.recipes.studies": ["*.yaml"]},
)
