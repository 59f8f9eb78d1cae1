"""Recipes: the one file that says everything a run needs, its schema and its reading."""
