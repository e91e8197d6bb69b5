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
  certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/11111111-2222-3333-4444-555555555555"
  email_sender    = "Our Shop <orders@shop.example>"
  company_name    = "Our Shop"
  alarm_email     = "operations@shop.example"
  no_orders_hours = 24
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
