-- Leases the effects of one lane that are due longest.
-- KEYS  1 {rb}
-- ARGV  1 worker  2 lease in ms  3 "outbox" or "firing"  4 how many at most
-- Returns {ms until the next is due or -1, {member, attempt, token, asked, by, …}}
local at, taken = now(), {}
local set = RB .. ':outbox'
if ARGV[3] == 'firing' then set = RB .. ':firing' end
for _, member in ipairs(redis.call('ZRANGE', set, '-inf', at, 'BYSCORE', 'LIMIT', 0, ARGV[4])) do
  local home, topic = due(member)
  if home ~= set then -- an older version of ours put it here
    redis.call('ZREM', set, member)
    redis.call('ZADD', home, 'NX', at, member)
    wake(topic)
  else
    local effect = RB .. ':effect:' .. member
    local attempt = redis.call('HINCRBY', effect, 'attempt', 1)
    local e = redis.call('HMGET', effect, 'version', 'asked', 'by')
    local token = (e[1] or 0) .. '#' .. turn() .. '#' .. ARGV[1]
    redis.call('HSET', effect, 'token', token)
    redis.call('HDEL', effect, 'urgent') -- what its last holder, who is gone, did not know
    redis.call('ZADD', set, at + ARGV[2], member)
    for _, v in ipairs({member, attempt, token, e[2] or '', e[3] or ''}) do taken[#taken + 1] = v end
  end
end
local first = redis.call('ZRANGE', set, 0, 0, 'WITHSCORES')
if not first[1] then return {-1, taken} end
return {math.max(1, first[2] - at), taken}
