"""gunicorn's worker and its hooks. gunicorn's master imports this package without the application."""
