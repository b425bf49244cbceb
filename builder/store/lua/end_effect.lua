-- Drops an effect, unless it was added again meanwhile, or makes it due later.
-- KEYS  1 {rb}
-- ARGV  1 member  2 token  3 "done" or "retry"  4 ms to wait before a retry
-- Returns 1, or 0 when the lease is somebody else's
return end_effect(ARGV[1], ARGV[2], ARGV[3], ARGV[4]) and 1 or 0
