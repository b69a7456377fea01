"""`python -m ddpo.church64`."""

import sys

from ddpo.church64.build import main

sys.exit(main())
