"""`python -m services.contacts` runs the contacts service."""

from kit.app import Service
from services.contacts.settings import Settings
from services.contacts.store import ContactsStore
from services.contacts.wiring import parts

SERVICE = Service("contacts", Settings, ContactsStore, parts)

if __name__ == "__main__":
    SERVICE.run()
