"""Owns templates, campaigns and their frozen audiences. Publishes batches as work for the sender; says `LinkOpened`;
listens to `CampaignTally` and `BatchFinished`. Asks contacts for audiences, the wallet for holds, accounts for the
merchant.
"""
