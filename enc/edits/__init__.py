"""An edit: what is asked for, what it changes, how the difference is shown, and the trail that keeps it."""
