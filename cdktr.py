"""Entry point: `python cdktr.py …`, and the frozen binary's main script."""

import sys

from cdktr.cli import main

if __name__ == "__main__":
    sys.exit(main())
