"""`python -m ddpo.evaluation`."""

from ddpo.evaluation.command import main

if __name__ == "__main__":
    raise SystemExit(main())
