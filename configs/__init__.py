"""The YAML that ships: models, data sets, label spaces, training recipes."""
