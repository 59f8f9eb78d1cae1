"""The ``data`` section of a recipe: one file of options per source, named as in ``omib_cli/sources``."""
