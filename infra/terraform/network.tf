# Made unless one is given: public subnets for the load balancer and the tasks, and subnets without a way to the internet
# for the database. Tasks have public addresses, because a NAT gateway would cost more than all tasks together; their
# security group admits the load balancer alone.

data "aws_availability_zones" "available" {
  state = "available"
}

locals {
  vpc_count           = local.makes_vpc ? 1 : 0
  vpc_id              = local.makes_vpc ? aws_vpc.this[0].id : var.vpc_id
  balancer_subnet_ids = local.makes_vpc ? aws_subnet.public[*].id : var.public_subnet_ids
  task_subnet_ids     = local.makes_vpc ? aws_subnet.public[*].id : var.private_subnet_ids
  database_subnet_ids = local.makes_vpc ? aws_subnet.database[*].id : var.private_subnet_ids
}

resource "aws_vpc" "this" {
  count                = local.vpc_count
  cidr_block           = "10.0.0.0/16"
  enable_dns_hostnames = true
  tags                 = { Name = var.name }
}

resource "aws_internet_gateway" "this" {
  count  = local.vpc_count
  vpc_id = local.vpc_id
  tags   = { Name = var.name }
}

resource "aws_subnet" "public" {
  count             = 2 * local.vpc_count
  vpc_id            = local.vpc_id
  availability_zone = data.aws_availability_zones.available.names[count.index]
  cidr_block        = "10.0.${count.index}.0/24"
  tags              = { Name = "${var.name}-public-${count.index + 1}" }
}

resource "aws_subnet" "database" {
  count             = 2 * local.vpc_count
  vpc_id            = local.vpc_id
  availability_zone = data.aws_availability_zones.available.names[count.index]
  cidr_block        = "10.0.${count.index + 10}.0/24"
  tags              = { Name = "${var.name}-database-${count.index + 1}" }
}

resource "aws_route_table" "public" {
  count  = local.vpc_count
  vpc_id = local.vpc_id
  tags   = { Name = "${var.name}-public" }
}

resource "aws_route" "internet" {
  count                  = local.vpc_count
  route_table_id         = aws_route_table.public[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

resource "aws_route_table_association" "public" {
  count          = 2 * local.vpc_count
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public[0].id
}

resource "aws_security_group" "balancer" {
  name_prefix = "${var.name}-balancer-"
  description = "Load balancer"
  vpc_id      = local.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "balancer" {
  for_each          = { "HTTPS" = 443, "Redirected to HTTPS" = 80 }
  security_group_id = aws_security_group.balancer.id
  description       = each.key
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "balancer" {
  security_group_id            = aws_security_group.balancer.id
  description                  = "Tasks"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
  referenced_security_group_id = aws_security_group.tasks.id
}

resource "aws_security_group" "tasks" {
  name_prefix = "${var.name}-tasks-"
  description = "Tasks"
  vpc_id      = local.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "tasks" {
  security_group_id            = aws_security_group.tasks.id
  description                  = "Load balancer"
  ip_protocol                  = "tcp"
  from_port                    = local.port
  to_port                      = local.port
  referenced_security_group_id = aws_security_group.balancer.id
}

resource "aws_vpc_security_group_egress_rule" "tasks" {
  for_each = {
    "Registry and secrets and log" = [443, 443]
    "Relay"                        = [var.mail_port, var.mail_port]
    "PostgreSQL and its poolers"   = [5432, 6543]
  }
  security_group_id = aws_security_group.tasks.id
  description       = each.key
  ip_protocol       = "tcp"
  from_port         = each.value[0]
  to_port           = each.value[1]
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_security_group" "database" {
  count       = local.database_count
  name_prefix = "${var.name}-database-"
  description = "Database"
  vpc_id      = local.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  count                        = local.database_count
  security_group_id            = aws_security_group.database[0].id
  description                  = "Tasks"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  referenced_security_group_id = aws_security_group.tasks.id
}
