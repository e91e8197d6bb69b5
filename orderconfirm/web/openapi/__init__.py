"""The API's documentation, generated from its schemas."""
