# A login with a generated password in Secrets Manager. The password is neither in the state nor in a plan. This is a module
# because `terraform test` can override a module, but not an ephemeral resource.

variable "name" {
  description = "Name of the secret."
  type        = string
}

variable "username" {
  description = "User name that is stored next to the password."
  type        = string
}

resource "aws_secretsmanager_secret" "this" {
  name_prefix = "${var.name}-"
}

ephemeral "aws_secretsmanager_random_password" "this" {
  password_length     = 40
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret_version" "this" {
  secret_id                = aws_secretsmanager_secret.this.id
  secret_string_wo_version = 1
  secret_string_wo = jsonencode({
    username = var.username
    password = ephemeral.aws_secretsmanager_random_password.this.random_password
  })
}

# The stored password: the one above is another at each plan and apply.
ephemeral "aws_secretsmanager_secret_version" "this" {
  secret_id = aws_secretsmanager_secret_version.this.secret_id
}

output "arn" {
  description = "The secret, with the keys username and password."
  value       = aws_secretsmanager_secret.this.arn
}

output "password" {
  description = "The stored password."
  value       = jsondecode(ephemeral.aws_secretsmanager_secret_version.this.secret_string).password
  ephemeral   = true
}
