"""Orders: their fields, their amounts and their stored form."""
