"""Owns merchants, their users and sessions, and the keys that sign access tokens.

Says `MerchantRegistered`; listens to nothing.
"""
