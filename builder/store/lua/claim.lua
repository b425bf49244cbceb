-- Takes back leases that ran out, then leases the next build.
-- KEYS  1 {rb}
-- ARGV  1 worker  2 lease in ms  3 running builds for each repository
--       4 leases that a build may lose, and one more to be given up in order
--       5 failure (JSON) of one that lost that one too
--       6 ms that builds stay
-- Returns {build id or "", attempt, last state or "", ms until a lease runs
--          out or -1, {ids of builds that it ended}, leases that it has lost}
local at, keep = now(), ARGV[6]
for _, id in ipairs(redis.call('ZRANGEBYSCORE', RB .. ':leases', '-inf', at, 'LIMIT', 0, 100)) do
  local lost = redis.call('HINCRBY', build(id), 'lost', 1)
  if lost > tonumber(ARGV[4]) and redis.call('HEXISTS', build(id), 'stop_state') == 0 then
    redis.call('HDEL', build(id), 'result')
    redis.call('HSET', build(id), 'failure', ARGV[5])
    end_build(id, 'failed', '', at, keep)
  else
    requeue(id, at, keep)
  end
end

-- A ring holds the repositories that have builds of its level, next one
-- first. One that is at its limit is taken out of all rings and joins them
-- again, at the end, when one of its builds ends.
local function pick()
  for level = 0, LEVELS - 1 do
    while true do
      local repo = redis.call('ZRANGE', ring(level), 0, 0)[1]
      if not repo then break end
      local id = redis.call('ZRANGE', queue(level, repo), 0, 0)[1]
      if not id then
        redis.call('ZREM', ring(level), repo)
      elseif redis.call('SCARD', RB .. ':running:' .. repo) >= tonumber(ARGV[3]) then
        for l = 0, LEVELS - 1 do redis.call('ZREM', ring(l), repo) end
      else
        return id, level, repo
      end
    end
  end
end

local id, level, repo = pick()
if not id then
  local first = redis.call('ZRANGE', RB .. ':leases', 0, 0, 'WITHSCORES')
  return {'', 0, '', first[2] and math.max(1, first[2] - at) or -1, ended}
end
redis.call('ZREM', queue(level, repo), id)
if redis.call('EXISTS', queue(level, repo)) == 1 then
  redis.call('ZADD', ring(level), turn(), repo)
else
  redis.call('ZREM', ring(level), repo)
end
local attempt = redis.call('HINCRBY', build(id), 'attempt', 1)
redis.call('HSET', build(id), 'state', 'running', 'worker', ARGV[1], 'started', at)
redis.call('ZADD', RB .. ':leases', at + ARGV[2], id)
redis.call('SADD', RB .. ':running:' .. repo, id)

-- Only now may older ones stop: until here their steps could be shared.
local b = redis.call('HMGET', build(id), 'lineage', 'seq', 'commit', 'image', 'ref')
if b[1] ~= '' then
  local older = redis.call('ZRANGE', RB .. ':lineage:' .. b[1], '-inf', '(' .. b[2], 'BYSCORE')
  for _, old in ipairs(older) do
    if redis.call('HGET', build(old), 'state') == 'running' then
      ask(old, 'superseded', by(b[3], b[5]), at)
    end
  end
end
add_effect('build:' .. id, at)
wake('build:' .. id)
local last = redis.call('HGET', RB .. ':last:' .. repo .. ':' .. b[5], b[4])
return {id, attempt, last and string.match(last, ' (.*)$') or '', -1, ended, tonumber(redis.call('HGET', build(id), 'lost'))}
