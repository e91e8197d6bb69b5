# docs/aws.md says what to do about each alarm. The installation's name is the namespace of the service's metrics, which
# have the environment that APP_ENV names as a dimension. Each task publishes the increase of its counters once a minute.

locals {
  balancer = { LoadBalancer = aws_lb.this.arn_suffix }
  targets  = merge(local.balancer, { TargetGroup = aws_lb_target_group.this.arn_suffix })
  service  = { environment = "production" }

  # Alarms about one metric.
  metric_alarms = merge({
    latency-p95 = {
      description = "One request in twenty has taken longer than a second for ten minutes. \"Prefer: wait\" is meant to wait: raise the threshold if the shop sends it often."
      namespace   = "AWS/ApplicationELB"
      metric      = "TargetResponseTime"
      dimensions  = local.targets
      statistic   = "p95"
      comparison  = "GreaterThanThreshold"
      threshold   = 1
      period      = 300
      periods     = 2
      missing     = "notBreaching"
    }
    oldest-due = {
      description = "For five minutes, the oldest due mail has been due for more than 15 minutes, or nothing reports."
      namespace   = var.name
      metric      = "oldest_due_seconds"
      dimensions  = local.service
      statistic   = "Maximum"
      comparison  = "GreaterThanThreshold"
      threshold   = 900
      period      = 60
      periods     = 5
      # Without metrics, no task runs or none can read the database.
      missing = "breaching"
    }
    relay-paused = {
      description = "The relay has refused all mails for five minutes. Orders wait."
      namespace   = var.name
      metric      = "relay_paused"
      dimensions  = local.service
      statistic   = "Maximum"
      comparison  = "GreaterThanOrEqualToThreshold"
      threshold   = 1
      period      = 60
      periods     = 5
      missing     = "notBreaching"
    }
    no-orders = {
      description = "No order has been accepted for ${var.no_orders_hours} hours."
      namespace   = var.name
      metric      = "orders_accepted_total"
      dimensions  = local.service
      statistic   = "Sum"
      comparison  = "LessThanThreshold"
      threshold   = 1
      period      = 3600
      periods     = var.no_orders_hours
      missing     = "breaching"
    }
    }, local.makes_database ? {
    database-storage = {
      description = "The database has less than 2 GiB left. A full one takes no orders."
      namespace   = "AWS/RDS"
      metric      = "FreeStorageSpace"
      dimensions  = { DBInstanceIdentifier = aws_db_instance.this[0].identifier }
      statistic   = "Minimum"
      comparison  = "LessThanThreshold"
      threshold   = 2 * 1024 * 1024 * 1024
      period      = 300
      periods     = 2
      missing     = "missing"
    }
  } : {})

  # Alarms about a percentage, each with its sums: the namespace, the metric and its dimensions.
  percent_alarms = {
    http-5xx = {
      description = "More than 1 % of the requests have failed for ten minutes, in the service or before it."
      # The load balancer does not count a request that no task could take as one of the target group.
      expression = "100 * (FILL(target, 0) + FILL(balancer, 0)) / (FILL(requests, 0) + FILL(balancer, 0))"
      threshold  = 1
      period     = 300
      periods    = 2
      sums = {
        target   = ["AWS/ApplicationELB", "HTTPCode_Target_5XX_Count", local.targets]
        balancer = ["AWS/ApplicationELB", "HTTPCode_ELB_5XX_Count", local.balancer]
        requests = ["AWS/ApplicationELB", "RequestCount", local.targets]
      }
    }
    mails-failed = {
      description = "More than 5 % of the mails of an hour, and more than five, were refused for good or given up."
      expression  = "IF(FILL(failed, 0) + FILL(expired, 0) > 5, 100 * (FILL(failed, 0) + FILL(expired, 0)) / (FILL(sent, 0) + FILL(failed, 0) + FILL(expired, 0)), 0)"
      threshold   = 5
      period      = 3600
      periods     = 1
      sums        = { for outcome in ["sent", "failed", "expired"] : outcome => local.sends[outcome] }
    }
    bounces = {
      description = "More than 5 % of a day's mails, and more than five, have bounced."
      expression  = "IF(FILL(bounced, 0) > 5, 100 * FILL(bounced, 0) / sent, 0)"
      threshold   = 5
      period      = 86400
      periods     = 1
      sums        = { sent = local.sends["sent"], bounced = local.deliveries["bounced"] }
    }
    complaints = {
      description = "More than 0.1 % of a day's mails, and more than two, were reported as spam."
      expression  = "IF(FILL(complained, 0) > 2, 100 * FILL(complained, 0) / sent, 0)"
      threshold   = 0.1
      period      = 86400
      periods     = 1
      sums        = { sent = local.sends["sent"], complained = local.deliveries["complained"] }
    }
  }

  sends = {
    for outcome in ["sent", "failed", "expired"] :
    outcome => [var.name, "sends_total", merge(local.service, { outcome = outcome })]
  }
  deliveries = {
    for delivery in ["bounced", "complained"] :
    delivery => [var.name, "delivery_events_total", merge(local.service, { delivery = delivery })]
  }
}

resource "aws_sns_topic" "alarms" {
  name = "${var.name}-alarms"
}

resource "aws_sns_topic_subscription" "alarms" {
  count     = var.alarm_email == null ? 0 : 1
  topic_arn = aws_sns_topic.alarms.arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

resource "aws_cloudwatch_metric_alarm" "metric" {
  for_each            = local.metric_alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  namespace           = each.value.namespace
  metric_name         = each.value.metric
  dimensions          = each.value.dimensions
  statistic           = startswith(each.value.statistic, "p") ? null : each.value.statistic
  extended_statistic  = startswith(each.value.statistic, "p") ? each.value.statistic : null
  period              = each.value.period
  evaluation_periods  = each.value.periods
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  treat_missing_data  = each.value.missing
  # Before, there are no metrics of the service.
  depends_on = [aws_ecs_service.this]
}

resource "aws_cloudwatch_metric_alarm" "percent" {
  for_each            = local.percent_alarms
  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  alarm_actions       = [aws_sns_topic.alarms.arn]
  ok_actions          = [aws_sns_topic.alarms.arn]
  evaluation_periods  = each.value.periods
  comparison_operator = "GreaterThanThreshold"
  threshold           = each.value.threshold
  treat_missing_data  = "notBreaching"

  metric_query {
    id          = "percent"
    expression  = each.value.expression
    label       = "percent"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = each.value.sums

    content {
      id = metric_query.key

      metric {
        namespace   = metric_query.value[0]
        metric_name = metric_query.value[1]
        dimensions  = metric_query.value[2]
        stat        = "Sum"
        period      = each.value.period
      }
    }
  }
}
