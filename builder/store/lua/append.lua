#!lua
-- Accepts an event: numbers it, unless its id was accepted before.
--
-- A forge waits for this one, so it does no more than it must: everything that
-- is written is synced to the disk before the answer, and what can be done when
-- the event is taken up is done in next_event.lua. That is also why it does
-- without control.lua.
-- KEYS  1 {rb}
-- ARGV  1 event id  2 event (JSON)  3 repository key
--       4 repository (JSON)  5 ref  6 commit  7 what it does to the ref: "set", "drop" or "",
--         or "keep" for an event that does not describe a known repository anew
--       8 ref that it is about, "" where it is that one
-- Returns {number of the event, 1 if it was a duplicate}
local RB, id, repo = KEYS[1], ARGV[1], ARGV[3]
local event = RB .. ':event:' .. id
redis.call('HDEL', RB .. ':intents:' .. repo, id)
local known = redis.call('HGET', event, 'seq')
if known then return {tonumber(known), 1} end

local seq = redis.call('INCR', RB .. ':seq')
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('HSET', event, 'event', ARGV[2], 'seq', seq, 'ref', ARGV[5],
  'at', t[1] .. string.format('%06d', t[2]))
if ARGV[8] ~= '' then redis.call('HSET', event, 'about', ARGV[8]) end
redis.call('RPUSH', RB .. ':inbox:' .. repo, id)
-- A repository that is there already was announced, or is when it is free.
if redis.call('ZADD', RB .. ':inboxes', 'NX', now, repo) == 1 then
  redis.call('PUBLISH', RB .. ':wake', 'inbox')
end
if ARGV[7] == 'set' then
  redis.call('HSET', RB .. ':accepted:' .. repo, ARGV[5], ARGV[6])
elseif ARGV[7] == 'drop' then
  redis.call('HDEL', RB .. ':accepted:' .. repo, ARGV[5])
end
local was = redis.call('HGET', RB .. ':repositories', repo)
if was ~= ARGV[4] and not (was and ARGV[7] == 'keep') then
  local text = ARGV[4]
  if was then -- some events do not say all of it
    local old, new = cjson.decode(was), cjson.decode(text)
    for k, v in pairs(old) do
      if new[k] == nil then new[k], text = v, nil end
    end
    text = text or cjson.encode(new)
  end
  redis.call('HSET', RB .. ':repositories', repo, text)
end
return {seq, 0}
