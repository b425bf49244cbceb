-- Renews an event's lease, or gives it back to be due later.
-- KEYS  1 {rb}
-- ARGV  1 repository key  2 token  3 ms from now  4 "extend" or "defer"
-- Returns 1, or 0 when the lease is somebody else's
if redis.call('HGET', RB .. ':inbox-leases', ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('ZADD', RB .. ':inboxes', now() + ARGV[3], ARGV[1])
if ARGV[4] == 'defer' then
  redis.call('HDEL', RB .. ':inbox-leases', ARGV[1])
  wake('inbox')
end
return 1
