-- Says what is known of an input key, or makes the caller its builder.
-- KEYS  1 {rb}
-- ARGV  1 build id  2 worker  3 attempt  4 input key  5 ms that inputs stay
-- Returns {1, digest, from, build that builds it; each ""}, or {0} when the lease is lost
local id = ARGV[1]
if not held(id, ARGV[2], ARGV[3]) then return {0} end
local input = RB .. ':input:' .. ARGV[4]
local i = redis.call('HMGET', input, 'digest', 'from', 'building')
if i[1] then return {1, i[1], i[2], ''} end
if i[3] and i[3] ~= id then
  -- A claim ends with its attempt; one whose lease ran out is taken over,
  -- though nobody has put its build back yet.
  local deadline = redis.call('ZSCORE', RB .. ':leases', i[3])
  if deadline and tonumber(deadline) > now() then return {1, '', '', i[3]} end
end
if redis.call('HGET', build(id), 'input') ~= ARGV[4] then drop_input(id) end
redis.call('HSET', input, 'building', id)
redis.call('PEXPIRE', input, ARGV[5])
redis.call('HSET', build(id), 'input', ARGV[4])
return {1, '', '', ''}
