data "aws_availability_zones" "available" {
  state = "available"
}

locals {
  vpc_id             = var.vpc_id == null ? aws_vpc.this[0].id : var.vpc_id
  public_subnet_ids  = var.vpc_id == null ? aws_subnet.public[*].id : var.public_subnet_ids
  private_subnet_ids = var.vpc_id == null ? aws_subnet.private[*].id : var.private_subnet_ids
  vpc_count          = var.vpc_id == null ? 1 : 0
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

# Without a route to the internet: only the database is here.
resource "aws_subnet" "private" {
  count             = 2 * local.vpc_count
  vpc_id            = local.vpc_id
  availability_zone = data.aws_availability_zones.available.names[count.index]
  cidr_block        = "10.0.${count.index + 10}.0/24"
  tags              = { Name = "${var.name}-private-${count.index + 1}" }
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
