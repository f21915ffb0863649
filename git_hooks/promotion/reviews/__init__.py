"""The forges at which changes are reviewed, a module each: how their approvals are read (enc/settings/forges.py)."""
