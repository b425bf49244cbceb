-- Hands a build back, as a loss of nobody's.
-- KEYS  1 {rb}
-- ARGV  1 build id  2 worker  3 attempt  4 ms that builds stay
-- Returns {1, {ids of builds that it ended}}, or {0} when the lease is lost
if not held(ARGV[1], ARGV[2], ARGV[3]) then return {0} end
requeue(ARGV[1], now(), ARGV[4])
return {1, ended}
