"""Talking to single nodes: what we know of one, requests to it, parts, rates, tokens, answers that hurt
nobody.
"""
