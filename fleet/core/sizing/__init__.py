"""How many dispatchers a host should have."""
