output "balancer_name" {
  description = "Point the domain of the certificate at it, with a CNAME or an alias."
  value       = aws_lb.this.dns_name
}

output "task_network" {
  description = "For \"aws ecs run-task --network-configuration\", for example with the command \"flask db upgrade\"."
  value = format(
    "awsvpcConfiguration={subnets=[%s],securityGroups=[%s],assignPublicIp=%s}",
    join(",", local.task_subnet_ids), aws_security_group.tasks.id, local.makes_vpc ? "ENABLED" : "DISABLED",
  )
}
