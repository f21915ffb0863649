"""Catalogs before and after a change: asked of puppetserver, compared, masked, grouped over nodes. Knows no git."""
