"""The virtual specimen: known truth behind the demo devices."""
