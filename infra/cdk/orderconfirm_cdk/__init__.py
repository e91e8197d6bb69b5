"""The service on AWS, described with CDK."""
