"""What is served over HTTP, with Flask: the only place in `enc` that imports it.

A site is put together (site.py) from parts (part.py); whatever goes wrong in
any of them is answered in one place (errors.py). `git_hooks.web` adds its own
parts to a site; nothing here knows of them. Not here: gunicorn
(enc/web/server.py), and what the parts decide, which they ask of services that
know nothing of HTTP. What runs for each catalog or push imports nothing of this.
"""
