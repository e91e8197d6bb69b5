output "balancer_name" {
  description = "Point the domain of the certificate at it, with a CNAME or an alias."
  value       = aws_lb.this.dns_name
}
