"""How gunicorn serves the application. gunicorn's master imports this package without the application."""
