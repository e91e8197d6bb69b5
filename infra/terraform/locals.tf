data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  makes_vpc      = var.vpc_id == null
  makes_database = var.database_url_arn == null
  uses_mailtrap  = var.mail_server == ""

  port = 8000
}
