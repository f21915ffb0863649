"""The way of a change to production: proposals, rules, queues, the move itself, what is undone and kept out.

What is decided is pure (rules.py, states.py, provenance.py, rungs.py); what is done is told by the other modules.
docs/promotion.md has the states and the rules.
"""
