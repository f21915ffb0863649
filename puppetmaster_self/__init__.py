"""An instance that becomes its own Puppet master, and goes back."""
