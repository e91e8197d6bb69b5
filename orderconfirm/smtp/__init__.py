"""What goes out: the message, and the way to the relay."""
