"""`python -m flower_mm`: the same as `flower-mm`."""

from flower_mm.cli.main import main

if __name__ == '__main__':
    main()
