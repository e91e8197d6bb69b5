mock_provider "aws" {
  override_during = plan
}

override_module {
  target  = module.database_password
  outputs = { secret_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:orderconfirm/database-AbCdEf", password = "generated" }
}

variables {
  image           = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/orderconfirm:1.0.0"
  certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
  secret_arn      = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:orderconfirm-AbCdEf"
  email_sender    = "orders@shop.example"
  alarm_email     = "on-call@shop.example"
}

run "small" {
}
