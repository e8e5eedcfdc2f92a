"""Owns attempts, messages, delivery reports, tallies and what customers answer: the road to the provider and back.
Takes `SendBatch` as work; says `CampaignTally`, `BatchFinished` and `InboundReceived`; listens to `LinkOpened`. Asks
contacts who may be texted and tells it who opted out, asks campaigns whether a batch still goes out, and the wallet to
settle.
"""
