"""Names → samples: data sets, label spaces and maps, checks."""
