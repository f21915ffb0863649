"""An instance's present role, whom it serves, and whether it should keep that role."""
