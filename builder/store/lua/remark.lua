-- Adds remarks to a thread. A newer one of the same topic takes its place, also
-- when it only drops it: an older one that comes late does not come back.
-- KEYS  1 {rb}
-- ARGV  1 repository key  2 number of the pull request or commit
--       3 how many remarks are kept  4 ms that threads stay after a change
--       5… topic, seq, remark (JSON, "" drops it), "standing" where it is never the one
--       that has to go, else "answer"
-- Returns {1 if there were remarks before, {remarks (JSON), oldest first}}
local thread = RB .. ':thread:' .. ARGV[1] .. ':' .. ARGV[2]
local shown = redis.call('HEXISTS', thread, 'shown')
local changed = false
for i = 5, #ARGV, 4 do
  local field = 'topic:' .. ARGV[i]
  local was = redis.call('HGET', thread, field)
  if not was or tonumber(string.match(was, '^%d+')) <= tonumber(ARGV[i + 1]) then
    changed = true
    if ARGV[i + 2] == '' and ARGV[i + 3] ~= 'standing' then
      redis.call('HDEL', thread, field)
    else
      redis.call('HSET', thread, field, ARGV[i + 1] .. ' ' .. ARGV[i + 3] .. ' ' .. ARGV[i + 2])
    end
    if ARGV[i + 2] ~= '' then redis.call('HSET', thread, 'shown', 1) end
  end
end

local said = {}
local all = redis.call('HGETALL', thread)
for i = 1, #all, 2 do
  local seq, kind, text = string.match(all[i + 1], '^(%d+) (%l+) (.+)$')
  if seq then said[#said + 1] = {seq = tonumber(seq), topic = all[i], standing = kind == 'standing', text = text} end
end
table.sort(said, function(a, b)
  if a.seq ~= b.seq then return a.seq < b.seq end
  return a.topic < b.topic
end)
local surplus, texts = #said - tonumber(ARGV[3]), {}
for _, r in ipairs(said) do
  if surplus > 0 and not r.standing then
    redis.call('HDEL', thread, r.topic)
    surplus = surplus - 1
  else
    texts[#texts + 1] = r.text
  end
end
if changed then redis.call('PEXPIRE', thread, ARGV[4]) end
return {shown, texts}
