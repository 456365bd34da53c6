"""``python -m synthgan`` is the command ``synthgan``."""

from synthgan.cli import main

if __name__ == "__main__":
    main(prog_name="synthgan")
