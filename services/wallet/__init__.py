"""Owns the merchants' credits: an append-only double-entry ledger, the holds on it, what bounds their use, what plan a
merchant has, and what things cost.

Says `BalanceLow`; listens to `MerchantRegistered`.
"""
