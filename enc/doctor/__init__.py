"""What `doctor` and `config check` look at: probes that read, and pure judgements about what they saw.

One module for each part that can be ill. Nothing here changes anything.
"""
