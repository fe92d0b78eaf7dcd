"""Where rows come from: functions and files, cut into partitions."""
