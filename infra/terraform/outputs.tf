output "balancer_dns_name" {
  description = "Host name that the certificate's name must lead to, as CNAME or alias."
  value       = aws_lb.this.dns_name
}
