# The examples, with a provider that makes nothing: no account is needed.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_module {
  target = module.orderconfirm.module.database_secret

  outputs = {
    arn      = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:orderconfirm-database-AbCdEf"
    password = "generated"
  }
}

run "small" {
  module {
    source = "./examples/small"
  }
}

run "large" {
  module {
    source = "./examples/large"
  }
}
