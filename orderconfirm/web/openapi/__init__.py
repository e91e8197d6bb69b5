"""The API's documentation, made from its schemas."""
