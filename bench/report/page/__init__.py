"""The report as one page: its data as plain values, and the template that draws them."""
