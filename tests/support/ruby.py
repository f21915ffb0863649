"""Ruby's packages for all tests, compiled once and kept from one run to the next.

Private agents and instances find them, and whole machines (machines.py), which have the directory mounted.
"""

from __future__ import annotations

from pathlib import Path

from puppetmaster_quickstart import compiled_ruby

COMPILED = compiled_ruby.use(Path(__file__).resolve().parents[2] / ".cache/ruby")
