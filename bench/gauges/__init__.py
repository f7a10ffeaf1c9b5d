"""What is read off the hosts around every trial: CPU, pressure, drops, and bytes by interface."""
