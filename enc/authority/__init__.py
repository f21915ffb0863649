"""puppetserver's certificate authority over its HTTP API: what it holds, revoking, its revocation list."""
