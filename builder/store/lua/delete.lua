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
for _, name in ipairs(redis.call('HKEYS', RB .. ':run:' .. ARGV[1])) do
  redis.call('ZREM', RB .. ':runs', ARGV[1] .. ':' .. name)
  redis.call('ZREM', RB .. ':runs:' .. b[3], ARGV[1] .. ':' .. name)
end
redis.call('DEL', RB .. ':run:' .. ARGV[1])
wake('build:' .. ARGV[1])
return {1}
