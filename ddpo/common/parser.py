"""A command line that says what is wrong in one sentence."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from ddpo.common.exit_codes import WRONG_USAGE


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one sentence rather than in a screen of usage."""

    def error(self, message: str) -> NoReturn:
        """Say it and leave."""
        print(f"{message[:1].upper()}{message[1:]}; `{self.prog} --help` lists what there is.", file=sys.stderr)
        raise SystemExit(WRONG_USAGE)
