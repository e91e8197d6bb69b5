"""What an order is: its fields, its amounts, its stored form."""
