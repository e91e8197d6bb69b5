locals {
  account     = data.aws_caller_identity.current.account_id
  partition   = data.aws_partition.current.partition
  region      = data.aws_region.current.region
  from_here   = { StringEquals = { "aws:SourceAccount" = local.account } }
  repository  = regex("^[^/]+/([^:@]+)", var.image)[0]
  ecr_actions = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]

  assume_by_tasks = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = local.from_here
    }]
  })
}

# What ECS itself needs to start a task: this image, these secrets, this log.
resource "aws_iam_role" "execution" {
  name_prefix        = "${var.name}-execution-"
  assume_role_policy = local.assume_by_tasks
}

resource "aws_iam_role_policy" "execution" {
  name = "start"
  role = aws_iam_role.execution.id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      # This action has no resource: the token is one for the whole registry.
      { Effect = "Allow", Action = "ecr:GetAuthorizationToken", Resource = "*" },
      {
        Effect   = "Allow"
        Action   = local.ecr_actions
        Resource = "arn:${local.partition}:ecr:${local.region}:${local.account}:repository/${local.repository}"
      },
      {
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = "${aws_cloudwatch_log_group.this.arn}:*"
      },
      { Effect = "Allow", Action = "secretsmanager:GetSecretValue", Resource = local.secret_arns },
    ]
  })
}

# What the service may do in AWS: nothing. It needs a role nevertheless, to which you can add rights.
resource "aws_iam_role" "task" {
  name_prefix        = "${var.name}-task-"
  assume_role_policy = local.assume_by_tasks
}
