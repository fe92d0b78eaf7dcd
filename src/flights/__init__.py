"""The worked example's own code: flights that left New York in 2013."""
