# What must exist before the service: the image repository, and the secret with the service's keys.

variable "name" {
  description = "Name of the installation, of its repository and of its secret."
  type        = string
  default     = "orderconfirm"
}

resource "aws_ecr_repository" "this" {
  name                 = var.name
  image_tag_mutability = "IMMUTABLE"

  image_scanning_configuration {
    scan_on_push = true
  }
}

resource "aws_ecr_lifecycle_policy" "this" {
  repository = aws_ecr_repository.this.name
  policy = jsonencode({
    rules = [
      {
        rulePriority = 1
        description  = "Keep 30 releases"
        action       = { type = "expire" }
        selection = {
          tagStatus      = "tagged"
          tagPatternList = ["*"]
          countType      = "imageCountMoreThan"
          countNumber    = 30
        }
      },
      {
        rulePriority = 2
        description  = "Delete what no tag names"
        action       = { type = "expire" }
        selection = {
          tagStatus   = "untagged"
          countType   = "sinceImagePushed"
          countUnit   = "days"
          countNumber = 14
        }
      },
    ]
  })
}

# One secret with a key for each setting. Its values are stored with "aws secretsmanager put-secret-value", so that they
# are in no state.
resource "aws_secretsmanager_secret" "this" {
  name        = var.name
  description = "Keys of the service ${var.name}"
}

output "repository_url" {
  description = "Tag images with it."
  value       = aws_ecr_repository.this.repository_url
}

output "secret_arn" {
  description = "The variable secret_arn of the service."
  value       = aws_secretsmanager_secret.this.arn
}
