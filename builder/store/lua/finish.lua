-- Ends a build, once.
-- KEYS  1 {rb}
-- ARGV  1 build id  2 worker  3 attempt  4 state  5 result name  6 reason
--       7 ms that builds stay  8… triggers to fire
-- Returns {1, former result name or ""}, or {0} when the lease is lost.
-- The same call again (same result name) returns {1, ""}.
local id = ARGV[1]
local b = redis.call('HMGET', build(id), 'result', 'finished')
if b[2] and b[1] == ARGV[5] then return {1, ''} end
if not held(id, ARGV[2], ARGV[3]) then return {0} end
local at = now()
redis.call('HSET', build(id), 'result', ARGV[5])
end_build(id, ARGV[4], ARGV[6], at, ARGV[7])
for i = 8, #ARGV do add_effect('trigger:' .. id .. ':' .. ARGV[i], at) end
return {1, b[1] or ''}
