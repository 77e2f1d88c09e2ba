"""Files to upload, as the benchmarks' own servers and tools take them."""
