"""Forms of predictions made elsewhere: how they are found, read, matched with a data set and converted."""
