locals {
  environment = merge(
    {
      APP_ENV      = "production"
      STOP_TIMEOUT = tostring(var.stop_timeout)
      # The load balancer's X-Forwarded-For has the client's address.
      TRUSTED_PROXIES = "1"
      # A task does not see its share of the CPUs, by which the service would choose.
      SENDER                = var.cpu >= 2048 ? "process" : "thread"
      METRICS_EMF           = "true"
      METRICS_EMF_NAMESPACE = var.name
      AUTO_MIGRATE          = tostring(var.auto_migrate)
      EMAIL_SENDER          = var.email_sender
      COMPANY_NAME          = var.company_name
    },
    local.uses_mailtrap ? {} : {
      MAIL_SERVER = var.mail_server
      MAIL_PORT   = tostring(var.mail_port)
    },
    local.makes_database ? {
      DATABASE_URL  = "postgresql:///orders"
      PGHOST        = aws_db_instance.this[0].address
      PGSSLMODE     = "verify-full"
      PGSSLROOTCERT = "/etc/ssl/orderconfirm/database-ca.pem"
    } : {},
    var.settings,
  )

  keys = concat(
    ["API_KEYS", "METRICS_KEY"],
    local.uses_mailtrap ? ["MAILTRAP_API_TOKEN"] : ["MAIL_USERNAME", "MAIL_PASSWORD"],
    var.mailtrap_webhook ? ["MAILTRAP_WEBHOOK_SECRET"] : [],
  )

  # Read when a task starts. The rule in redeployment.tf replaces the tasks when one changes.
  secrets = merge(
    { for key in local.keys : key => "${var.secret_arn}:${key}::" },
    local.makes_database ? {
      PGUSER     = "${module.database_secret[0].arn}:username::"
      PGPASSWORD = "${module.database_secret[0].arn}:password::"
    } : { DATABASE_URL = var.database_url_arn },
  )
  secret_arns = [var.secret_arn, local.makes_database ? module.database_secret[0].arn : var.database_url_arn]
}

resource "aws_cloudwatch_log_group" "this" {
  name              = "/ecs/${var.name}"
  retention_in_days = var.log_retention_days
}

resource "aws_ecs_cluster" "this" {
  name = var.name
}

resource "aws_ecs_task_definition" "this" {
  family                   = var.name
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = var.cpu
  memory                   = var.memory
  execution_role_arn       = aws_iam_role.execution.arn
  task_role_arn            = aws_iam_role.task.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }

  container_definitions = jsonencode([{
    name      = "orderconfirm"
    image     = var.image
    essential = true
    user      = "10001:10001"
    # Only /dev/shm is written to, where gunicorn keeps its heartbeat files.
    readonlyRootFilesystem = true
    linuxParameters        = { capabilities = { drop = ["ALL"] } }
    portMappings           = [{ containerPort = local.port, protocol = "tcp" }]
    environment            = [for name, value in local.environment : { name = name, value = value }]
    secrets                = [for name, value in local.secrets : { name = name, valueFrom = value }]
    # Seconds between SIGTERM and SIGKILL. STOP_TIMEOUT says the same to the service.
    stopTimeout = var.stop_timeout

    # ECS ignores the health check of an image.
    healthCheck = {
      command     = ["CMD", "python", "-IS", "/app/healthcheck.py"]
      interval    = 10
      timeout     = 5
      retries     = 3
      startPeriod = 60
    }

    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-group         = aws_cloudwatch_log_group.this.name
        awslogs-region        = data.aws_region.current.region
        awslogs-stream-prefix = "task"
        # While CloudWatch Logs is away, lines are dropped. Otherwise the service would stand still.
        mode            = "non-blocking"
        max-buffer-size = "10m"
      }
    }
  }])
}

resource "aws_ecs_service" "this" {
  name                               = "orderconfirm"
  cluster                            = aws_ecs_cluster.this.id
  task_definition                    = aws_ecs_task_definition.this.arn
  launch_type                        = "FARGATE"
  desired_count                      = var.min_tasks
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200
  health_check_grace_period_seconds  = 60
  enable_ecs_managed_tags            = true
  propagate_tags                     = "SERVICE"
  # A deployment that is rolled back makes "terraform apply" fail.
  wait_for_steady_state = true

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = local.task_subnet_ids
    security_groups  = [aws_security_group.tasks.id]
    assign_public_ip = local.makes_vpc
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.this.arn
    container_name   = "orderconfirm"
    container_port   = local.port
  }

  lifecycle {
    # Autoscaling changes it.
    ignore_changes = [desired_count]
  }

  # The target group must belong to the load balancer, and the first tasks need their rights.
  depends_on = [aws_lb_listener_rule.api, aws_iam_role_policy.execution]
}

# More tasks accept more orders. They do not send more mails than the relay's limits allow, so the age of the oldest due
# mail is an alarm and not a reason to scale.
resource "aws_appautoscaling_target" "this" {
  service_namespace  = "ecs"
  scalable_dimension = "ecs:service:DesiredCount"
  resource_id        = "service/${aws_ecs_cluster.this.name}/${aws_ecs_service.this.name}"
  min_capacity       = var.min_tasks
  max_capacity       = var.max_tasks
}

resource "aws_appautoscaling_policy" "cpu" {
  name               = "cpu"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.this.service_namespace
  scalable_dimension = aws_appautoscaling_target.this.scalable_dimension
  resource_id        = aws_appautoscaling_target.this.resource_id

  target_tracking_scaling_policy_configuration {
    target_value       = 60
    scale_out_cooldown = 60
    scale_in_cooldown  = 300

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
