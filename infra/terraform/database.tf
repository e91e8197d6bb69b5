# Made unless database_url_arn names the URL of an existing one.

locals {
  database_count = local.makes_database ? 1 : 0
}

# Not rotated by AWS: between a rotation and the end of the deployment that follows, no task could open a connection.
module "database_secret" {
  source   = "./modules/generated_login"
  count    = local.database_count
  name     = "${var.name}-database"
  username = "orders"
}

resource "aws_db_subnet_group" "this" {
  count      = local.database_count
  name       = var.name
  subnet_ids = local.database_subnet_ids
}

resource "aws_db_parameter_group" "this" {
  count  = local.database_count
  name   = "${var.name}-postgres17"
  family = "postgres17"

  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
}

resource "aws_db_instance" "this" {
  count                      = local.database_count
  identifier                 = var.name
  engine                     = "postgres"
  engine_version             = "17"
  engine_lifecycle_support   = "open-source-rds-extended-support-disabled"
  auto_minor_version_upgrade = true
  instance_class             = var.database_class
  db_name                    = "orders"
  username                   = "orders"
  password_wo                = module.database_secret[0].password
  password_wo_version        = 1
  storage_type               = "gp3"
  allocated_storage          = var.database_storage
  max_allocated_storage      = var.database_max_storage
  storage_encrypted          = true
  publicly_accessible        = false
  multi_az                   = var.database_multi_az
  db_subnet_group_name       = aws_db_subnet_group.this[0].name
  vpc_security_group_ids     = [aws_security_group.database[0].id]
  parameter_group_name       = aws_db_parameter_group.this[0].name
  backup_retention_period    = var.backup_days
  copy_tags_to_snapshot      = true
  delete_automated_backups   = false
  deletion_protection        = var.deletion_protection
  final_snapshot_identifier  = "${var.name}-final"
}
