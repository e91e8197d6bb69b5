"""The checks of `flask check`: what in a set-up would keep orders from being stored or mails from being sent."""
