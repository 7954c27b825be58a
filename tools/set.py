"""The command `flower-mm set` as a script."""

from flower_mm.cli.main import tool

if __name__ == '__main__':
    tool('set')
