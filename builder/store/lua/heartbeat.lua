-- Renews a lease.
-- KEYS  1 {rb}
-- ARGV  1 build id  2 worker  3 attempt  4 lease in ms
-- Returns {1, how it should end and why, or "" ""}, or {0} when the lease is lost
if not held(ARGV[1], ARGV[2], ARGV[3]) then return {0} end
redis.call('ZADD', RB .. ':leases', now() + ARGV[4], ARGV[1])
local stop = redis.call('HMGET', build(ARGV[1]), 'stop_state', 'stop_reason')
return {1, stop[1] or '', stop[2] or ''}
