"""`python -m chatwright`: the command line."""

from chatwright.cli import main

if __name__ == "__main__":
    main()
