"""`python -m puppetmaster_self.quickstart`, which `./quickstart` runs."""

import sys

from puppetmaster_self.quickstart.story import main

sys.exit(main(sys.argv[1:]))
