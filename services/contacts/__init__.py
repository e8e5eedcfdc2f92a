"""Owns contacts, their imports, the consent ledger and the suppressions. Says `ConsentWithdrawn`; listens to nothing.

Asks accounts for the merchant's country, and only where a number does not say its own.
"""
