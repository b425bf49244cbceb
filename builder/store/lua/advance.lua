-- Moves a running build on, names its result and renews its lease.
-- KEYS  1 {rb}
-- ARGV  1 build id  2 worker  3 attempt  4 lease in ms  5 state  6 result name
-- Returns {1, former result name or ""}, {0} when the lease is lost, {-1, state} when
--         there is no way from its state to the new one
local id = ARGV[1]
local state = held(id, ARGV[2], ARGV[3])
if not state then return {0} end
if state == 'pushing' and ARGV[5] ~= 'pushing' then return {-1, state} end
local at = now()
local was = redis.call('HGET', build(id), 'result') or ''
redis.call('HSET', build(id), 'state', ARGV[5], 'result', ARGV[6])
redis.call('ZADD', RB .. ':leases', at + ARGV[4], id)
if state ~= ARGV[5] or was ~= ARGV[6] then add_effect('build:' .. id, at) end
wake('build:' .. id)
return {1, was}
