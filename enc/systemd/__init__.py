"""The systemd units that the toolkit ships, and what it says to systemd while it runs."""
