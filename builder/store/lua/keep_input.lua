-- Records what an input key built, or forgets it.
-- KEYS  1 {rb}
-- ARGV  1 "keep" or "forget"  2 input key  3 digest
--       to keep: 4 build id  5 worker  6 attempt  7 ms that inputs stay
-- Returns 1, or 0 when the lease is lost
local input = RB .. ':input:' .. ARGV[2]
if ARGV[1] == 'forget' then
  if redis.call('HGET', input, 'digest') == ARGV[3] then redis.call('HDEL', input, 'digest', 'from') end
  return 1
end
if not held(ARGV[4], ARGV[5], ARGV[6]) then return 0 end
redis.call('HSET', input, 'digest', ARGV[3], 'from', ARGV[4])
redis.call('PEXPIRE', input, ARGV[7])
return 1
