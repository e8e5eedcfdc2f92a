"""Owns templates, campaigns, their frozen audiences, automations and whom they happened to, and what readers did with
the links. Publishes batches as work for the sender; says `LinkOpened`, `OfferRedeemed`; listens to `CampaignTally` and
`BatchFinished`, and for the automations to `ContactCreated`, `ListJoined`, `TagAdded` and its own `OfferRedeemed`. Asks
contacts for audiences, the wallet for holds, accounts for the merchant.
"""
