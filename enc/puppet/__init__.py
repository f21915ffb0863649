"""What Puppet is on this machine: its packages, its settings, what is deployed."""
