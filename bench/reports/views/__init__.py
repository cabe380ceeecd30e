"""Content of reports as plain values, shared by pages and figures."""
