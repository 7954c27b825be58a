"""What a run asks of this machine, and for how long."""
