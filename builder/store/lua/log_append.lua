#!lua
-- Appends to a growing log and cuts its middle. Entries are numbered from 1:
-- entry n of the stream has the id n-0.
-- KEYS  1 {b:ID}:log  2 {b:ID}:log:meta
-- ARGV  1 attempt  2 data  3 what to put in front of a later attempt's first data
--       4 bytes kept of the beginning  5 bytes kept of the end
--       6 ms that logs stay  7 channel  8 message
-- Returns 1, or 0 when a later attempt writes or the log is closed
local m = redis.call('HMGET', KEYS[2], 'attempt', 'closed', 'n', 'head', 'tail', 'cut', 'head_end')
local attempt, data = tonumber(ARGV[1]), ARGV[2]
if m[2] or (m[1] and tonumber(m[1]) > attempt) then return 0 end
if m[1] and tonumber(m[1]) < attempt then data = ARGV[3] .. data end
local n, head, tail, cut = tonumber(m[3] or 0), tonumber(m[4] or 0), tonumber(m[5] or 0), tonumber(m[6] or 0)
local head_end, cut_to = tonumber(m[7] or 0), nil

local function add(part)
  n = n + 1
  redis.call('XADD', KEYS[1], n .. '-0', 'd', part)
end
local room = tonumber(ARGV[4]) - head
if tail == 0 and cut == 0 and room > 0 then
  local part = string.sub(data, 1, room)
  add(part)
  head, head_end = head + #part, n
  data = string.sub(data, room + 1)
end
if #data > 0 then
  add(data)
  tail = tail + #data
end
while tail > tonumber(ARGV[5]) do
  local oldest = redis.call('XRANGE', KEYS[1], head_end + 1, '+', 'COUNT', 1)[1]
  if not oldest or oldest[1] == n .. '-0' then break end -- one entry stays, however long
  redis.call('XDEL', KEYS[1], oldest[1])
  tail, cut = tail - #oldest[2][2], cut + #oldest[2][2]
  cut_to = string.match(oldest[1], '^%d+')
end
redis.call('HSET', KEYS[2], 'attempt', attempt, 'n', n, 'head', head, 'tail', tail, 'cut', cut, 'head_end', head_end)
if cut_to then redis.call('HSET', KEYS[2], 'cut_to', cut_to) end
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('PEXPIRE', KEYS[2], ARGV[6])
redis.call('PUBLISH', ARGV[7], ARGV[8])
return 1
