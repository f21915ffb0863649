"""Local commits carried onto the central branch."""
