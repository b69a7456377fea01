"""`python -m ddpo.cli` is train_space.py, wherever the package is installed."""

from ddpo.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
