"""The command line: `flower-mm` and the scripts in tools/."""
