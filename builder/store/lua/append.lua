-- Accepts an event: numbers it, unless its id was accepted before.
-- KEYS  1 {rb}
-- ARGV  1 event id  2 event (JSON)  3 repository key  4 repository (JSON)
--       5 ref  6 commit  7 what it does to the ref: "set", "drop" or ""
-- Returns {number of the event, 1 if it was a duplicate}
local event = RB .. ':event:' .. ARGV[1]
redis.call('HDEL', RB .. ':intents:' .. ARGV[3], ARGV[1])
local known = redis.call('HGET', event, 'seq')
if known then return {tonumber(known), 1} end

local seq = redis.call('INCR', RB .. ':seq')
local t = redis.call('TIME')
redis.call('HSET', event, 'event', ARGV[2], 'seq', seq, 'repo', ARGV[3], 'ref', ARGV[5],
  'at', t[1] .. string.format('%06d', t[2]))
redis.call('RPUSH', RB .. ':inbox:' .. ARGV[3], ARGV[1])
redis.call('ZADD', RB .. ':inboxes', 'NX', now(), ARGV[3])
redis.call('HSET', RB .. ':repositories', ARGV[3], ARGV[4])
if ARGV[7] == 'set' then
  redis.call('HSET', RB .. ':accepted:' .. ARGV[3], ARGV[5], ARGV[6])
elseif ARGV[7] == 'drop' then
  redis.call('HDEL', RB .. ':accepted:' .. ARGV[3], ARGV[5])
end
wake('inbox')
return {seq, 0}
