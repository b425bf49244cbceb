-- Drops an effect, unless it was added again meanwhile, or makes it due later:
-- at once where it became urgent meanwhile.
-- KEYS  1 {rb}
-- ARGV  1 member  2 token  3 "done" or "retry"  4 ms to wait before a retry
-- Returns 1, or 0 when the lease is somebody else's
local effect = RB .. ':effect:' .. ARGV[1]
local e = redis.call('HMGET', effect, 'token', 'version', 'urgent')
if e[1] ~= ARGV[2] then return 0 end
if e[3] then
  redis.call('HDEL', effect, 'token', 'attempt', 'urgent')
  redis.call('ZADD', RB .. ':outbox', now(), ARGV[1])
elseif ARGV[3] == 'retry' then
  redis.call('HDEL', effect, 'token')
  redis.call('ZADD', RB .. ':outbox', now() + ARGV[4], ARGV[1])
elseif e[2] == string.match(e[1], '^%d+') then
  redis.call('DEL', effect)
  redis.call('ZREM', RB .. ':outbox', ARGV[1])
  return 1
else
  redis.call('HDEL', effect, 'token', 'attempt')
  redis.call('ZADD', RB .. ':outbox', now(), ARGV[1])
end
wake('outbox')
return 1
