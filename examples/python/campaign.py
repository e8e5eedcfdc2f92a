"""From nothing to closed books: `ASTRONOTE_URL=http://127.0.0.1:8080 python campaign.py contacts.csv`."""

# ruff: noqa: T201 (what it prints is what it is for)

import os
import secrets
import sys
from pathlib import Path

from astronote import Astronote, Json

TEXT = "Γεια σου {{first_name|φίλε}}! -20% σε όλα έως την Κυριακή."


def main() -> None:
    url, file = os.environ.get("ASTRONOTE_URL", "http://127.0.0.1:8080"), Path(sys.argv[1])
    with Astronote(url) as shop:
        name = f"shop-{secrets.token_hex(4)}"
        shop.register(
            email=f"{name}@example.com", password=secrets.token_urlsafe(16), company=name, senderName="Akropolis"
        )
        done = shop.import_contacts(file.read_bytes(), consentSource="till")
        print(f"{done['created']} contacts came in, {done['rejected']} rows were rejected")
        for reject in shop.every(f"/v1/imports/{done['id']}/rejects", "rejects"):
            print(f"  row {reject['row']}: {reject['column']} {reject['value']!r}, {reject['reason']}")

        # One name for what is meant: a repeat of either call makes no second campaign and sends nothing twice.
        draft = {"name": "Sunday", "text": TEXT, "audience": {"all": True}}
        campaign = shop.post("/v1/campaigns", draft, key=f"{name}-sunday")
        quote = shop.post(f"/v1/campaigns/{campaign['id']}:quote")
        print(f"{quote['credits']} credits for {quote['recipients']} texts, of {quote['balance']}")
        if not quote["affordable"]:
            sys.exit("too few credits")
        shop.post(f"/v1/campaigns/{campaign['id']}:send", key=f"{name}-sunday-send")

        report: Json = {}
        for progress in shop.watch(campaign["id"]):
            report = progress["report"]
            print(f"  {report['counts']['queued']} are waiting, {report['counts']['delivered']} were delivered")
        spent, back = report["credits"]["captured"], report["credits"]["released"]
        print(f"{report['state']}: {spent} credits were spent, {back} came back")


if __name__ == "__main__":
    main()
