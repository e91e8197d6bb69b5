"""The settings of one installation."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

#: Settings of the service that follow from others here.
_FIXED = frozenset({"PORT", "STOP_TIMEOUT"})


@dataclass(frozen=True, kw_only=True)
class Config:
    """What differs between installations. The files in examples/ have the same names."""

    account: str
    region: str
    name: str = "orderconfirm"

    #: Tag of the image in the repository of the bootstrap stack.
    image_tag: str
    #: Processor that the image was built for. ARM64 costs a fifth less.
    architecture: Literal["ARM64", "X86_64"] = "ARM64"
    #: CPU units of a task; 1024 are one CPU.
    cpu: int = 512
    memory_mib: int = 1024
    #: Tasks that always run. With two, one availability zone may fail.
    min_tasks: int = 2
    max_tasks: int = 4
    #: Seconds that a task has to finish the mails in flight.
    stop_timeout: int = 30
    #: Whether a new version brings the database up to date at its start. If not, run `flask db upgrade` before.
    auto_migrate: bool = True

    #: From address of the confirmations, like orders@shop.example or Shop <orders@shop.example>.
    email_sender: str
    company_name: str
    #: Host name of an SMTP relay, whose login is MAIL_USERNAME and MAIL_PASSWORD in the secret. Empty for Mailtrap,
    #: whose token is MAILTRAP_API_TOKEN there.
    mail_server: str = ""
    mail_port: int = 587
    #: Whether the secret has MAILTRAP_WEBHOOK_SECRET, without which bounces and complaints are not known.
    mailtrap_webhook: bool = False
    #: More settings of the service. Not for secrets.
    settings: dict[str, str] = field(default_factory=dict)

    certificate_arn: str
    #: An existing VPC with public and private subnets and a NAT gateway; None makes one.
    vpc_id: str | None = None

    #: Secret that holds the DATABASE_URL of an existing database; None makes a database.
    database_url_arn: str | None = None
    database_class: str = "t4g.micro"
    database_storage_gib: int = 20
    #: Up to how much the storage grows by itself.
    database_max_storage_gib: int = 100
    #: Whether a standby in another availability zone takes over when the database fails. Doubles its cost.
    database_multi_az: bool = False
    #: Days for which the database can be restored to any second.
    backup_days: int = 7
    #: Protects database and load balancer. Deploy with false before you destroy the stack.
    deletion_protection: bool = True

    #: Address that gets the alarms; it must confirm a mail from AWS.
    alarm_email: str | None = None
    #: Hours without an order after which an alarm goes off. Longer than the shop's quietest time.
    no_orders_hours: int = 6
    log_retention_days: int = 30

    def __post_init__(self) -> None:
        if not 30 <= self.stop_timeout <= 120:
            raise ValueError("stop_timeout must be 30 to 120 seconds, which is what Fargate allows")
        if not 1 <= self.min_tasks <= self.max_tasks:
            raise ValueError("min_tasks must be at least 1, and max_tasks not less than min_tasks")
        if not 1 <= self.no_orders_hours <= 168:
            raise ValueError("no_orders_hours must be 1 to 168, which is how far an alarm can look back")
        if self.mail_port == 25:
            raise ValueError("mail_port must not be 25, which AWS blocks")
        if fixed := _FIXED & self.settings.keys():
            raise ValueError(f"{', '.join(fixed)} cannot be among the settings")

    @classmethod
    def from_file(cls, path: Path) -> Config:
        """Return the settings in a JSON file. Raises TypeError for a wrong name, ValueError for a wrong value."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))
