"""What everything that is registered has to keep to, as plain functions.

One module for each registry. Its checks take whatever is to be registered, so that tests run them over all
that is, and over what is registered wrongly on purpose.
"""
