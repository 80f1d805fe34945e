"""``python -m sdk``: the ``sdk`` command."""

from sdk.cli import main

if __name__ == "__main__":
    main()
