"""What the branch manager adds to a site (enc/web): git, and webhooks. The only place in `git_hooks` with Flask."""
