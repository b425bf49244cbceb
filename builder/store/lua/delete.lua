-- Forgets a terminal build.
-- KEYS  1 {rb}
-- ARGV  1 build id
-- Returns {1}, {0} when there is no such build, {-1, state} when it is not terminal
local b = redis.call('HMGET', build(ARGV[1]), 'state', 'finished', 'repo')
if not b[1] then return {0} end
if not b[2] then return {-1, b[1]} end
redis.call('DEL', build(ARGV[1]))
redis.call('ZREM', RB .. ':builds', ARGV[1])
redis.call('ZREM', RB .. ':builds:' .. b[3], ARGV[1])
wake('build:' .. ARGV[1])
return {1}
