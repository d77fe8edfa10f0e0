"""The page of the people who handle alerts: what it knows, where that comes from, who may look, and how it looks.

    alerts, listing, verdicts, drifting, spread, traffic, rawrow -> board     what is known, pure
    feed                                                                      from Kafka, and verdicts to it
    access -> guard                                                           who may ask what
    server -> pages                                                           NiceGUI

Nothing of the detector imports it, and nothing but the pages and the server imports NiceGUI.
"""
