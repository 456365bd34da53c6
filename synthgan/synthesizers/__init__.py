"""The estimators: fit a table, sample rows, save and load; what each one learns is its own affair."""
