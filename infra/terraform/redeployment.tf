# A new value of a secret starts a new deployment. An EventBridge rule cannot call ECS itself.

resource "aws_cloudwatch_event_rule" "secrets" {
  name        = "${var.name}-secrets"
  description = "A secret of the service has a new value"
  event_pattern = jsonencode({
    source      = ["aws.secretsmanager"]
    detail-type = ["Secret Label Updated"]
    resources   = local.secret_arns
    detail      = { labelUpdated = ["AWSCURRENT"] }
  })
}

resource "aws_cloudwatch_event_target" "secrets" {
  rule     = aws_cloudwatch_event_rule.secrets.name
  arn      = aws_sfn_state_machine.redeployment.arn
  role_arn = aws_iam_role.secrets.arn
}

resource "aws_iam_role" "secrets" {
  name_prefix = "${var.name}-secrets-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "events.amazonaws.com" } },
    ]
  })
}

resource "aws_iam_role_policy" "secrets" {
  name = "start"
  role = aws_iam_role.secrets.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "states:StartExecution", Resource = aws_sfn_state_machine.redeployment.arn }]
  })
}

resource "aws_sfn_state_machine" "redeployment" {
  name     = "${var.name}-redeployment"
  role_arn = aws_iam_role.redeployment.arn
  definition = jsonencode({
    Comment = "Replace the tasks, so that they read the secrets again"
    StartAt = "Deploy"
    States = {
      Deploy = {
        Type     = "Task"
        Resource = "arn:${local.partition}:states:::aws-sdk:ecs:updateService"
        Parameters = {
          Cluster            = aws_ecs_cluster.this.name
          Service            = aws_ecs_service.this.name
          ForceNewDeployment = true
        }
        # The answer has the whole service and may be too long.
        ResultSelector = {}
        Retry          = [{ ErrorEquals = ["States.ALL"], IntervalSeconds = 10, MaxAttempts = 3, BackoffRate = 2 }]
        End            = true
      }
    }
  })
}

resource "aws_iam_role" "redeployment" {
  name_prefix = "${var.name}-redeployment-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "states.amazonaws.com" }
      Condition = local.from_here
    }]
  })
}

resource "aws_iam_role_policy" "redeployment" {
  name = "deploy"
  role = aws_iam_role.redeployment.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "ecs:UpdateService", Resource = aws_ecs_service.this.id }]
  })
}
