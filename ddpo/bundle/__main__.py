"""`python -m ddpo.bundle`."""

import sys

from ddpo.bundle.build import main

sys.exit(main())
