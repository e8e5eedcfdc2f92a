"""Owns templates, campaigns, their frozen audiences, and what readers did with the links. Publishes batches as work for
the sender; says `LinkOpened`, `OfferRedeemed`; listens to `CampaignTally` and `BatchFinished`. Asks contacts for
audiences, the wallet for holds, accounts for the merchant.
"""
