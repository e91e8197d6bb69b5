# ---- Service ----

variable "name" {
  description = "Name of the installation, and the beginning of its resources' names."
  type        = string
  default     = "orderconfirm"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,18}[a-z0-9]$", var.name))
    error_message = "The name must have 3 to 20 lower-case letters, digits and hyphens, and begin with a letter."
  }
}

variable "image" {
  description = "Image in ECR, like 123456789012.dkr.ecr.eu-central-1.amazonaws.com/orderconfirm:v1.2.0."
  type        = string

  validation {
    condition     = can(regex("^\\d{12}\\.dkr\\.ecr\\.[^/]+/[^:@]+[:@].+$", var.image))
    error_message = "The image must be the address of an image in ECR, with a tag or a digest."
  }
}

variable "secret_arn" {
  description = "Secret with the service's keys: the output secret_arn of the module bootstrap."
  type        = string

  validation {
    condition     = can(regex("^arn:[^:]+:secretsmanager:[^:]+:\\d{12}:secret:.+-\\w{6}$", var.secret_arn))
    error_message = "The secret must be a complete ARN, with the six characters at its end."
  }
}

variable "architecture" {
  description = "Processor that the image was built for. ARM64 costs a fifth less."
  type        = string
  default     = "ARM64"

  validation {
    condition     = contains(["ARM64", "X86_64"], var.architecture)
    error_message = "The architecture must be ARM64 or X86_64."
  }
}

variable "cpu" {
  description = "CPU units of a task; 1024 are one CPU."
  type        = number
  default     = 512

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.cpu)
    error_message = "The CPU units must be 256, 512, 1024, 2048 or 4096."
  }
}

variable "memory" {
  description = "Memory of a task in MiB."
  type        = number
  default     = 1024

  validation {
    condition     = var.memory >= 2 * var.cpu && var.memory <= 8 * var.cpu
    error_message = "Fargate offers two to eight times as many MiB as CPU units."
  }
}

variable "min_tasks" {
  description = "Tasks that always run. With two, one availability zone may fail."
  type        = number
  default     = 2

  validation {
    condition     = var.min_tasks >= 1
    error_message = "At least one task must run."
  }
}

variable "max_tasks" {
  description = "Tasks that run at most."
  type        = number
  default     = 4

  validation {
    condition     = var.max_tasks >= var.min_tasks
    error_message = "max_tasks must not be less than min_tasks."
  }
}

variable "stop_timeout" {
  description = "Seconds that a task has to finish the mails in flight."
  type        = number
  default     = 30

  validation {
    condition     = var.stop_timeout >= 30 && var.stop_timeout <= 120
    error_message = "The stop timeout must be 30 to 120 seconds, which is what Fargate allows."
  }
}

variable "auto_migrate" {
  description = "Whether a new version brings the database up to date at its start. If not, run \"flask db upgrade\" before."
  type        = bool
  default     = true
}

# ---- Mail ----

variable "email_sender" {
  description = "From address of the confirmations, like orders@shop.example or Shop <orders@shop.example>."
  type        = string

  validation {
    condition     = can(regex("[^@\\s]+@[^@\\s]+\\.[^@\\s]+$", var.email_sender))
    error_message = "The sender must be a mail address."
  }
}

variable "company_name" {
  description = "The shop's name, shown in the subject and the mail."
  type        = string
}

variable "mail_server" {
  description = "Host name of an SMTP relay, whose login is MAIL_USERNAME and MAIL_PASSWORD in the secret. Empty for Mailtrap, whose token is MAILTRAP_API_TOKEN there."
  type        = string
  default     = ""
}

variable "mail_port" {
  description = "Port of the relay."
  type        = number
  default     = 587

  validation {
    condition     = var.mail_port != 25
    error_message = "AWS blocks port 25."
  }
}

variable "mailtrap_webhook" {
  description = "Whether the secret has MAILTRAP_WEBHOOK_SECRET, without which bounces and complaints are not known."
  type        = bool
  default     = false
}

variable "settings" {
  description = "More settings of the service, such as { DEFAULT_LOCALE = \"de\" }. Not for secrets."
  type        = map(string)
  default     = {}

  validation {
    condition     = length(setintersection(keys(var.settings), ["STOP_TIMEOUT", "PORT"])) == 0
    error_message = "STOP_TIMEOUT is the variable stop_timeout, and the port is fixed."
  }
}

# ---- Network ----

variable "certificate_arn" {
  description = "Certificate in ACM, in this Region, for the service's domain name."
  type        = string

  validation {
    condition     = can(regex("^arn:[^:]+:acm:", var.certificate_arn))
    error_message = "The certificate must be the ARN of a certificate in ACM."
  }
}

variable "vpc_id" {
  description = "An existing VPC; null makes one."
  type        = string
  default     = null
}

variable "public_subnet_ids" {
  description = "Two or more public subnets of the existing VPC for the load balancer."
  type        = list(string)
  default     = []

  validation {
    condition     = var.vpc_id == null || length(var.public_subnet_ids) >= 2
    error_message = "An existing VPC needs two or more public_subnet_ids."
  }
}

variable "private_subnet_ids" {
  description = "Two or more private subnets of the existing VPC for tasks and database. Tasks must reach the internet from them, through a NAT gateway."
  type        = list(string)
  default     = []

  validation {
    condition     = var.vpc_id == null || length(var.private_subnet_ids) >= 2
    error_message = "An existing VPC needs two or more private_subnet_ids."
  }
}

# ---- Database ----

variable "database_url_arn" {
  description = "Secret that holds the DATABASE_URL of an existing database; null makes a database."
  type        = string
  default     = null

  validation {
    condition     = var.database_url_arn == null || can(regex("^arn:[^:]+:secretsmanager:", var.database_url_arn))
    error_message = "The database's URL must be the ARN of a secret."
  }
}

variable "database_class" {
  description = "Instance class of the database."
  type        = string
  default     = "db.t4g.micro"
}

variable "database_storage" {
  description = "Storage of the database in GiB."
  type        = number
  default     = 20

  validation {
    condition     = var.database_storage >= 20
    error_message = "RDS needs at least 20 GiB."
  }
}

variable "database_max_storage" {
  description = "Up to how many GiB the storage grows by itself."
  type        = number
  default     = 100

  validation {
    condition     = var.database_max_storage > var.database_storage
    error_message = "database_max_storage must be more than database_storage."
  }
}

variable "database_multi_az" {
  description = "Whether a standby in another availability zone takes over when the database fails. Doubles its cost."
  type        = bool
  default     = false
}

variable "backup_days" {
  description = "Days for which the database can be restored to any second."
  type        = number
  default     = 7

  validation {
    condition     = var.backup_days >= 1 && var.backup_days <= 35
    error_message = "RDS keeps backups for 1 to 35 days."
  }
}

variable "deletion_protection" {
  description = "Protects database and load balancer. Apply with false before you destroy them."
  type        = bool
  default     = true
}

# ---- Monitoring ----

variable "alarm_email" {
  description = "Address that gets the alarms; it must confirm a mail from AWS. Null for none."
  type        = string
  default     = null
}

variable "no_orders_hours" {
  description = "Hours without an order after which an alarm goes off. Longer than the shop's quietest time."
  type        = number
  default     = 6

  validation {
    condition     = var.no_orders_hours >= 1 && var.no_orders_hours <= 168
    error_message = "An alarm can look back 1 to 168 hours."
  }
}

variable "log_retention_days" {
  description = "Days for which the log is kept."
  type        = number
  default     = 30

  validation {
    condition     = contains([7, 14, 30, 60, 90, 180, 365], var.log_retention_days)
    error_message = "The log can be kept for 7, 14, 30, 60, 90, 180 or 365 days."
  }
}
