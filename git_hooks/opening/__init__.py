"""Opening the repository: which secrets its whole history has, and a public copy without any (docs/opening.md).

An audit examines every object once (journal.py keeps which), in several processes (examiner.py, examination.py), finds
out where each finding stands (introduced.py), and leaves a verdict (verdict.py) that only this server can write.
`publish` (publish.py) pushes nothing without one that is clean and current.

Not here: what a secret is (secrets/), and pushes that come (push/).
"""
