"""Owns the merchants' credits: an append-only double-entry ledger, the holds on it, and what plan a merchant has.

Says nothing yet; listens to `MerchantRegistered`.
"""
