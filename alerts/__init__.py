"""What is worth a person's time: rule language, rules, episodes, routing, receivers."""
