"""The demonstration: its story, and the private servers and instances that tests use, too. No part of the product.

It may use everything of the product, and nothing there knows of it: neither
does an installation have it. Who changes the product need not read it.
"""
