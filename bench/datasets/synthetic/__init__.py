"""Generated data sets: minicity, minicoco, miniika."""
