# What the module refuses, and what it makes of the variables that the examples leave out.

mock_provider "aws" {
  source = "./tests/mocks"
}

override_module {
  target = module.database_secret

  outputs = {
    arn      = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:orderconfirm-database-AbCdEf"
    password = "generated"
  }
}

variables {
  image           = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/orderconfirm:v0.1.0"
  secret_arn      = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:orderconfirm-AbCdEf"
  certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
  email_sender    = "orders@shop.example"
  company_name    = "Our Shop"
}

run "an_existing_database_and_another_relay" {
  variables {
    database_url_arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:shared-url-AbCdEf"
    mail_server      = "smtp.example"
    settings         = { DEFAULT_LOCALE = "de" }
  }

  assert {
    condition     = length(aws_db_instance.this) == 0 && length(aws_security_group.database) == 0
    error_message = "A database is made although one exists."
  }

  assert {
    condition = (
      local.secrets["DATABASE_URL"] == var.database_url_arn
      && contains(jsondecode(aws_iam_role_policy.execution.policy).Statement[3].Resource, var.database_url_arn)
      && contains(jsondecode(aws_cloudwatch_event_rule.secrets.event_pattern).resources, var.database_url_arn)
    )
    error_message = "The database's URL is not read from its secret."
  }

  assert {
    condition     = local.environment["DEFAULT_LOCALE"] == "de" && length(aws_sns_topic_subscription.alarms) == 0
    error_message = "Further settings are lost, or alarms are sent without an address."
  }
}

run "wrong_values" {
  command = plan

  variables {
    name               = "Orders"
    image              = "orderconfirm:latest"
    secret_arn         = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:orderconfirm"
    architecture       = "arm"
    cpu                = 300
    min_tasks          = 0
    stop_timeout       = 10
    email_sender       = "orders"
    mail_port          = 25
    settings           = { STOP_TIMEOUT = "10" }
    certificate_arn    = "arn:aws:iam::123456789012:server-certificate/shop"
    database_url_arn   = "postgresql://orders"
    database_storage   = 5
    backup_days        = 0
    no_orders_hours    = 200
    log_retention_days = 31
  }

  expect_failures = [
    var.name, var.image, var.secret_arn, var.architecture, var.cpu, var.min_tasks, var.stop_timeout, var.email_sender,
    var.mail_port, var.settings, var.certificate_arn, var.database_url_arn, var.database_storage, var.backup_days,
    var.no_orders_hours, var.log_retention_days,
  ]
}

run "values_that_do_not_fit_each_other" {
  command = plan

  variables {
    memory               = 512
    max_tasks            = 1
    database_max_storage = 20
    vpc_id               = "vpc-0123456789abcdef0"
  }

  expect_failures = [
    var.memory, var.max_tasks, var.database_max_storage, var.public_subnet_ids, var.private_subnet_ids,
  ]
}
