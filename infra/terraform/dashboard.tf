locals {
  ecs = ["ClusterName", aws_ecs_cluster.this.name, "ServiceName", aws_ecs_service.this.name]
  elb = ["LoadBalancer", aws_lb.this.arn_suffix]
  own = ["environment", "production"]

  # A value of a label for each graph.
  by_label = {
    for name, label in {
      mails                 = { name = "state", values = ["queued", "sending", "unknown", "held", "failed"] }
      sends_total           = { name = "outcome", values = ["sent", "deferred", "unknown", "failed", "expired", "held"] }
      delivery_events_total = { name = "delivery", values = ["delivered", "soft_bounced", "bounced", "complained"] }
    } : name => [for value in label.values : concat([var.name, name], local.own, [label.name, value])]
  }

  widgets = concat([
    {
      title   = "Mails by state"
      period  = 60
      stat    = "Maximum"
      metrics = local.by_label["mails"]
    },
    {
      title  = "Age of the oldest due mail, in seconds"
      period = 60
      stat   = "Maximum"
      metrics = [
        concat([var.name, "oldest_due_seconds"], local.own),
        concat([var.name, "relay_paused"], local.own, [{ yAxis = "right" }]),
      ]
    },
    {
      title   = "Orders accepted, attempts to send by outcome"
      period  = 300
      stat    = "Sum"
      metrics = concat([concat([var.name, "orders_accepted_total"], local.own)], local.by_label["sends_total"])
    },
    {
      title   = "Delivery events"
      period  = 3600
      stat    = "Sum"
      metrics = local.by_label["delivery_events_total"]
    },
    {
      title  = "Responses"
      period = 300
      stat   = "Sum"
      metrics = [
        for name in ["Target_2XX", "Target_4XX", "Target_5XX", "ELB_5XX"] :
        concat(["AWS/ApplicationELB", "HTTPCode_${name}_Count"], local.elb)
      ]
    },
    {
      title  = "95 % take at most, in seconds"
      period = 300
      stat   = "Maximum"
      metrics = [
        concat(["AWS/ApplicationELB", "TargetResponseTime"], local.elb, [{ stat = "p95" }]),
        concat([var.name, "http_request_duration_seconds_p95"], local.own),
        concat([var.name, "send_duration_seconds_p95"], local.own),
        concat([var.name, "accepted_to_sent_seconds_p95"], local.own, [{ yAxis = "right" }]),
      ]
    },
    {
      title  = "CPU and memory of the tasks, in percent"
      period = 300
      stat   = "Average"
      metrics = [
        for name in ["CPUUtilization", "MemoryUtilization"] : concat(["AWS/ECS", name], local.ecs)
      ]
    },
    ], [for database in aws_db_instance.this : {
      title  = "Database"
      period = 300
      stat   = "Average"
      metrics = [
        ["AWS/RDS", "CPUUtilization", "DBInstanceIdentifier", database.identifier],
        ["AWS/RDS", "DatabaseConnections", "DBInstanceIdentifier", database.identifier],
        ["AWS/RDS", "FreeStorageSpace", "DBInstanceIdentifier", database.identifier, { yAxis = "right", stat = "Minimum" }],
      ]
  }])
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.name
  dashboard_body = jsonencode({
    widgets = [
      for index, widget in local.widgets : {
        type       = "metric"
        x          = 12 * (index % 2)
        y          = 6 * floor(index / 2)
        width      = 12
        height     = 6
        properties = merge(widget, { region = local.region })
      }
    ]
  })
}
