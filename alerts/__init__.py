"""Alerts: the rule language, rules, episodes, routing and receivers."""
