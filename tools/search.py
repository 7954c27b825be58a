"""The command `flower-mm search` as a script."""

from flower_mm.cli.main import tool

if __name__ == '__main__':
    tool('search')
