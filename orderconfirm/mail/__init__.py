"""What goes out: the mail, and the way to the relay."""
