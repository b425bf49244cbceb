-- Estimates a queued build's place: how many would start before it if
-- nothing else came, where every repository takes its turn.
-- KEYS  1 {rb}
-- ARGV  1 build id
-- Returns the place from 1, or 0 when it is not queued
local b = redis.call('HMGET', build(ARGV[1]), 'repo', 'level', 'state')
if b[3] ~= 'queued' then return 0 end
local level = tonumber(b[2])
local before = redis.call('ZRANK', queue(level, b[1]), ARGV[1])
if not before then return 0 end
local place, mine = before + 1, redis.call('ZSCORE', ring(level), b[1])
for l = 0, level do
  for i, repo in ipairs(redis.call('ZRANGE', ring(l), 0, 999)) do
    local waiting = redis.call('ZCARD', queue(l, repo))
    if l < level then
      place = place + waiting
    elseif repo ~= b[1] then
      local first = not mine or tonumber(redis.call('ZSCORE', ring(l), repo)) < tonumber(mine)
      place = place + math.min(waiting, before + (first and 1 or 0))
    end
  end
end
return place
