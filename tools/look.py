"""The command `flower-mm look` as a script."""

from flower_mm.cli.main import tool

if __name__ == '__main__':
    tool('look')
