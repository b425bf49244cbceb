-- Leases the repository that is due longest, with its oldest event.
-- KEYS  1 {rb}
-- ARGV  1 lease in ms
-- Returns {event id, event, seq, accepted at (us), token, attempt, head or "",
--          owners as name, value, …, last as image, "seq state", …,
--          paused as image, by, …, approved commit or "", 1 if it was registered},
--          or {"", ms until one is due or -1}
local at = now()
while true do
  local repo = redis.call('ZRANGEBYSCORE', RB .. ':inboxes', '-inf', at, 'LIMIT', 0, 1)[1]
  if not repo then break end
  local inbox = RB .. ':inbox:' .. repo
  local id = redis.call('LINDEX', inbox, 0)
  local e = id and redis.call('HMGET', RB .. ':event:' .. id, 'event', 'seq', 'at', 'ref', 'about')
  if not id then
    redis.call('ZREM', RB .. ':inboxes', repo)
  elseif not e[1] then
    redis.call('LPOP', inbox)
  else
    local attempt = redis.call('HINCRBY', RB .. ':event:' .. id, 'attempts', 1)
    local token = id .. '#' .. attempt
    redis.call('ZADD', RB .. ':inboxes', at + ARGV[1], repo)
    redis.call('HSET', RB .. ':inbox-leases', repo, token)
    redis.call('ZADD', RB .. ':active', 'GT', math.floor(e[3] / 1000), repo)
    local head = redis.call('HGET', RB .. ':heads:' .. repo, e[4]) or ''
    local owners = redis.call('HGETALL', RB .. ':owners:' .. repo)
    local about = e[5] or e[4]
    local last = redis.call('HGETALL', RB .. ':last:' .. repo .. ':' .. about)
    local paused = redis.call('HGETALL', RB .. ':paused:' .. repo)
    local approved = redis.call('HGET', RB .. ':approved:' .. repo, about) or ''
    local known = redis.call('EXISTS', RB .. ':registrations:' .. repo)
    return {id, e[1], e[2], e[3], token, tostring(attempt), head, owners, last, paused, approved, known}
  end
end
local first = redis.call('ZRANGE', RB .. ':inboxes', 0, 0, 'WITHSCORES')
return {'', first[2] and math.max(1, first[2] - at) or -1}
