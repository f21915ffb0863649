"""`python -m puppetmaster_quickstart`, which `./quickstart` runs."""

import sys

from puppetmaster_quickstart.story import main

sys.exit(main(sys.argv[1:]))
