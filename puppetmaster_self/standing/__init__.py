"""What an instance is now, for whom, and whether it should stay so."""
