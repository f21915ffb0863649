"""The demonstration: its story, and the private servers and instances that tests use, too. No part of the product."""
