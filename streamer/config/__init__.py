"""The configuration: YAML with positions, models, secrets, errors.

`streamer.config.load` reads a file, `streamer.config.secrets` fetches the secrets that it refers to. Nothing
is imported here: whoever only asks where the daemon serves does not wait for detectors and rules.
"""
