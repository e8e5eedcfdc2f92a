"""Owns contacts, lists, segments, imports, the consent ledger and the suppressions. Says `ConsentWithdrawn`; listens to
`MessageOutcomes`, `LinkOpened` and `OfferRedeemed`, of which it remembers when each last happened to a contact.

Asks accounts for the merchant's country, where a number does not say its own, and time zone, where a rule asks for ages
or days.
"""
