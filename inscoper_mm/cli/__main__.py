"""``python -m inscoper_mm.cli``: the command line where its script is not on the path."""

from inscoper_mm.cli import main

if __name__ == "__main__":
    main()
