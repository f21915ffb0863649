"""The use cases of editing, which the command line, the API and the console call alike.

`desk.py` carries out every edit: authorise, show the effect, write the intent,
write LDAP, write the outcome. `nodes.py`, `projects.py` and `history.py` plan
edits and hand them in there; `survey.py` only reads.
"""
