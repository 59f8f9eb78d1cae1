"""``python -m omib_cli``: the same program as the console script ``omib``."""

from omib_cli.cli.app import main

if __name__ == "__main__":
    main()
