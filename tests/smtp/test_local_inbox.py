"""The local inbox: newest mails first, on pages, and found by recipient, subject or order id."""

from __future__ import annotations

import mailbox
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from callers import place, wait_for
from flask import Flask

from orderconfirm.smtp.local_inbox import MAX_MAILS, Inbox

SECOND, HOST = 1790000000, "host"


def put(folder: Path, name: str, subject: str = "A mail", **headers: str) -> None:
    """Store a mail under a given Maildir name."""
    mailbox.Maildir(folder)  # creates the folder
    head = {"Subject": subject, "To": "John Doe <john.doe@example.com>", **headers}
    lines = "".join(f"{each}: {text}\n" for each, text in head.items())
    (folder / "new" / name).write_text(f"{lines}\nHello\n", encoding="ascii")


def name_of(microseconds: int, count: int = 1, second: int = SECOND) -> str:
    return f"{second}.M{microseconds}P77Q{count}.{HOST}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "inbox"


def subjects(found: tuple[list[Any], int]) -> list[str]:
    return [mail.subject for mail in found[0]]


def test_the_newest_mails_come_first_by_number_and_not_by_text(folder: Path) -> None:
    names = [
        name_of(68013, 9, SECOND - 1),
        *(name_of(9, 9), name_of(68013, 9), name_of(68013, 10), name_of(546139, 100)),
        name_of(1, 101, SECOND + 1),
    ]
    for number, name in enumerate(names):
        put(folder, name, f"{number}")
    assert subjects(Inbox(folder).newest()) == ["5", "4", "3", "2", "1", "0"]


def test_the_oldest_mails_are_deleted_above_the_limit(folder: Path) -> None:
    for number in range(MAX_MAILS):
        put(folder, name_of(80_000 + number * 100, number), f"{number}")
    inbox = Inbox(folder)
    inbox.add(b"Subject: The newest\n\nHello\n")
    kept = subjects(inbox.newest(limit=MAX_MAILS))
    assert kept == ["The newest", *(f"{number}" for number in range(MAX_MAILS - 1, 0, -1))]


@pytest.mark.parametrize(
    "search", ["JOHN.doe@example.com", "john doe", "Bestellung Nr. 7", "bestätigt", "SHOP-7/a", " SHOP-7/ä "]
)
def test_a_mail_is_found_by_its_recipient_its_subject_and_its_order_id(folder: Path, search: str) -> None:
    variables = r'{"order_id": "SHOP-7/a SHOP-7/\u00e4", "shop": "default"}'
    put(folder, name_of(1), "=?utf-8?q?Bestellung_Nr=2E_7_best=C3=A4tigt?=", **{"X-MT-Custom-Variables": variables})
    put(folder, name_of(2), "Another", To="jane@example.com", **{"X-MT-Custom-Variables": "not JSON"})
    found, count = Inbox(folder).newest(search)
    assert (len(found), count) == (1, 1)
    assert found[0].subject == "Bestellung Nr. 7 bestätigt"


def test_the_shop_in_the_custom_variables_is_not_searched(folder: Path) -> None:
    put(folder, name_of(1), **{"X-MT-Custom-Variables": '{"order_id": "7", "shop": "default"}'})
    assert Inbox(folder).newest("default") == ([], 0)


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../cur", "../../outbox.db", "/etc/passwd", "a\0b", "x" * 5000, "nothing"]
)
def test_names_of_other_files_are_not_found(folder: Path, name: str) -> None:
    put(folder, name_of(1))
    (folder.parent / "outbox.db").write_text("secret")
    inbox = Inbox(folder)
    assert (inbox.find(name), inbox.source(name)) == (None, None)


def test_the_pages_lead_to_every_mail(start_app: Callable[..., Flask], folder: Path) -> None:
    for number in range(250):
        recipient = "jane@example.com" if number < 120 else "john@example.com"
        put(folder, name_of(number * 1000, number), f"Mail {number}.", To=recipient)
    client = start_app().test_client()

    def read(path: str) -> tuple[list[int], str, dict[str, str]]:
        page = client.get(path).get_data(as_text=True)
        shown = [int(number) for number in re.findall(r"<strong>Mail (\d+)\.</strong>", page)]
        links = {
            words: link.replace("&amp;", "&") for link, words in re.findall(r'href="([^"]+)">(Newer|Older)<', page)
        }
        match = re.search(r"(\d+ to \d+ of \d+|\d+) mails?\b", page)
        return shown, match[0] if match else "", links

    newest, count, links = read("/inbox")
    assert (newest, count, set(links)) == (list(range(249, 149, -1)), "1 to 100 of 250 mails", {"Older"})
    older, count, links = read(links["Older"])
    assert (older, count, set(links)) == (list(range(149, 49, -1)), "101 to 200 of 250 mails", {"Newer", "Older"})
    oldest, count, links = read(links["Older"])
    assert (oldest, count, set(links)) == (list(range(49, -1, -1)), "201 to 250 of 250 mails", {"Newer"})
    assert read(links["Newer"])[0] == older
    found, count, links = read("/inbox?search=jane@example.com")
    assert (found, count, set(links)) == (list(range(119, 19, -1)), "1 to 100 of 120 mails", {"Older"})
    assert read(links["Older"])[0] == list(range(19, -1, -1))
    for beyond in ("skip=9999", "skip=-1", "skip=x", "skip=99999999999999999999999"):
        assert client.get(f"/inbox?{beyond}").status_code == 200


def test_the_page_finds_a_mail_by_order_and_by_customer(start_app: Callable[..., Flask]) -> None:
    client = start_app().test_client()
    for order_id, email in (("FIRST-1", "anna@example.com"), ("OTHER-2", "bert@example.com")):
        place(client, order_id, customer={"name": "Somebody", "email": email})
        wait_for(client, order_id, "sent")
    for search in ("FIRST-1", "anna@example.com", "Anna@"):
        page = client.get("/inbox", query_string={"search": search}).get_data(as_text=True)
        assert "anna@example.com" in page and "bert@example.com" not in page
        assert "1 mail" in page
