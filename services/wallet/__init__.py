"""Owns the merchants' credits: an append-only double-entry ledger, the holds on it, what bounds their use, what plan a
merchant has, what things cost, and what was bought of them at Stripe.

Says `BalanceLow`; listens to `MerchantRegistered`.
"""
