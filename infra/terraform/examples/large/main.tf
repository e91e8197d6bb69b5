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
  name   = "shop-orders"
}

module "orderconfirm" {
  source = "../.."
  name   = "shop-orders"

  image           = "${module.bootstrap.repository_url}:v0.1.0"
  secret_arn      = module.bootstrap.secret_arn
  certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
  email_sender    = "Our Shop <orders@shop.example>"
  company_name    = "Our Shop"
  alarm_email     = "operations@shop.example"

  cpu          = 1024
  memory       = 2048
  min_tasks    = 3
  max_tasks    = 12
  stop_timeout = 60
  auto_migrate = false

  mailtrap_webhook = true

  vpc_id             = "vpc-0123456789abcdef0"
  public_subnet_ids  = ["subnet-0aaaaaaaaaaaaaaa1", "subnet-0aaaaaaaaaaaaaaa2", "subnet-0aaaaaaaaaaaaaaa3"]
  private_subnet_ids = ["subnet-0bbbbbbbbbbbbbbb1", "subnet-0bbbbbbbbbbbbbbb2", "subnet-0bbbbbbbbbbbbbbb3"]

  database_class       = "db.m7g.large"
  database_storage     = 200
  database_max_storage = 1000
  database_multi_az    = true
  backup_days          = 14

  no_orders_hours    = 2
  log_retention_days = 90
}

output "repository_url" {
  description = "Tag images with it."
  value       = module.bootstrap.repository_url
}

output "secret_arn" {
  description = "Put the keys here."
  value       = module.bootstrap.secret_arn
}

output "balancer_name" {
  description = "Point the domain of the certificate at it, with a CNAME or an alias."
  value       = module.orderconfirm.balancer_name
}

output "task_network" {
  description = "For \"aws ecs run-task --network-configuration\"."
  value       = module.orderconfirm.task_network
}
