"""A repository at a forge: webhooks say "go and look", git fetches, the deploy follows (docs/mirror.md)."""
