"""Owns merchants, their users, sessions and API keys, the operators, and the keys that sign access tokens.

Says `MerchantRegistered`; listens to nothing.
"""
