# The database, unless the service's secret has a DATABASE_URL.

locals {
  database_count = var.has_database ? 1 : 0
}

module "database_password" {
  source   = "./modules/password"
  count    = local.database_count
  name     = "${var.name}/database"
  username = "orders"
}

resource "aws_security_group" "database" {
  count       = local.database_count
  name        = "${var.name}-database"
  description = "PostgreSQL from the service"
  vpc_id      = local.vpc_id
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  count                        = local.database_count
  description                  = "the service"
  security_group_id            = aws_security_group.database[0].id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
  referenced_security_group_id = aws_security_group.service.id
}

resource "aws_db_subnet_group" "this" {
  count      = local.database_count
  name       = var.name
  subnet_ids = local.private_subnet_ids
}

resource "aws_db_parameter_group" "this" {
  count  = local.database_count
  name   = var.name
  family = "postgres17"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
}

resource "aws_db_instance" "this" {
  count                           = local.database_count
  identifier                      = var.name
  engine                          = "postgres"
  engine_version                  = "17"
  instance_class                  = var.database_class
  allocated_storage               = var.database_size
  max_allocated_storage           = 5 * var.database_size
  storage_type                    = "gp3"
  storage_encrypted               = true
  multi_az                        = var.multi_az
  db_name                         = "orders"
  username                        = "orders"
  password_wo                     = module.database_password[0].password
  password_wo_version             = 1
  db_subnet_group_name            = aws_db_subnet_group.this[0].name
  parameter_group_name            = aws_db_parameter_group.this[0].name
  vpc_security_group_ids          = [aws_security_group.database[0].id]
  backup_retention_period         = 7
  copy_tags_to_snapshot           = true
  enabled_cloudwatch_logs_exports = ["postgresql"]
  deletion_protection             = true
  final_snapshot_identifier       = "${var.name}-final"
}
