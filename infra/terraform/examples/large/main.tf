terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.25, < 7"
    }
  }
}

provider "aws" {
  region = "eu-central-1"
}

module "bootstrap" {
  source = "../../bootstrap"
}

module "orderconfirm" {
  source = "../.."

  image           = "${module.bootstrap.repository_url}:v0.1.0"
  secret_arn      = module.bootstrap.secret_arn
  certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/12345678-1234-1234-1234-123456789012"
  email_sender    = "orders@shop.example"
  company_name    = "Shop"
  alarm_email     = "on-call@shop.example"

  cpu       = 1024
  memory    = 2048
  min_tasks = 3
  max_tasks = 12

  database_class       = "db.m8g.large"
  database_storage     = 200
  database_max_storage = 1000
  database_multi_az    = true
  backup_days          = 14
}

output "repository_url" {
  description = "Where the image is pushed to."
  value       = module.bootstrap.repository_url
}

output "balancer_dns_name" {
  description = "What the certificate's host name must lead to."
  value       = module.orderconfirm.balancer_dns_name
}
