"""The policy of signing: which certificate request of an instance is signed, and why the others are not.

docs/signing.md tells it whole. `request` reads a request, `policy` judges it, `refusals` is the journal, `autosign`
is what puppetserver runs (through the script `enc-autosign`).
"""
