"""Owns contacts, lists, segments, imports, the consent ledger, the suppressions, public forms and erasures. Says
`ContactCreated`, `ListJoined` and `TagAdded` (by hand or by a form, not by an import) and `ConsentWithdrawn`; listens
to `MessageOutcomes`, `LinkOpened` and `OfferRedeemed`, of which it remembers when each last happened to a contact.

Asks accounts for the merchant's country, where a number does not say its own, and time zone, where a rule asks for ages
or days; sender for the text of a double opt-in; sender and campaigns for what they hold about a person, and its end.
"""
