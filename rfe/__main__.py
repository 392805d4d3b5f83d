"""`python -m rfe` is `rfe`."""

from rfe.cli import main

if __name__ == "__main__":
    main()
