"""The checks of `branch-manager doctor`, one module for each part. They change nothing.

What a check finds is a value (enc.doctor.findings); ids are explained in docs/branch-manager.md.
"""
