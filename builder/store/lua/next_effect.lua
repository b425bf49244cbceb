-- Leases the effect that is due longest.
-- KEYS  1 {rb}
-- ARGV  1 worker  2 lease in ms
-- Returns {member, attempt, token}, or {"", ms until one is due or -1}
local at = now()
local due = redis.call('ZRANGE', RB .. ':outbox', 0, 0, 'WITHSCORES')
if not due[1] then return {'', -1} end
if tonumber(due[2]) > at then return {'', due[2] - at} end
local effect = RB .. ':effect:' .. due[1]
local attempt = redis.call('HINCRBY', effect, 'attempt', 1)
local version = redis.call('HGET', effect, 'version')
local token = version .. '#' .. turn() .. '#' .. ARGV[1]
redis.call('HSET', effect, 'token', token)
redis.call('HDEL', effect, 'urgent') -- what its last holder, who is gone, did not know
redis.call('ZADD', RB .. ':outbox', at + ARGV[2], due[1])
return {due[1], attempt, token}
