"""Owns attempts, messages, delivery reports and tallies: the road to the provider. Takes `SendBatch` as work; says
`CampaignTally` and `BatchFinished`; listens to `LinkOpened`. Asks contacts who may be texted, campaigns whether a batch
still goes out, and the wallet to settle.
"""
