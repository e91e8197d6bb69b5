"""How gunicorn serves the application. Its master imports this package without the rest."""
