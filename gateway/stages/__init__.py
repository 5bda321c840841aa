"""The verbs of a request, one package each.

Rule: a stage takes nouns and gives a fresh one, or raises `Refused`; it knows neither the config nor another stage.
Invariant: a stage that fails in any other way grants nothing.
"""
