"""The command line: one file per command, each a signature and one call; importing any of it imports nothing heavy."""
