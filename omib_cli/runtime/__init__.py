"""The circumstances of a command: its job, the stop flag, the machine, locks, seeds, progress events."""
