"""Reports: functions of stored results, and of data sets where pictures are asked for."""
