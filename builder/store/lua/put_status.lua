-- Keeps the newest report of a status context.
-- KEYS  1 {rb}
-- ARGV  1 repository key  2 commit  3 context  4 seq  5 updated at (us)
--       6 report (JSON)  7 ms that statuses stay
-- Returns 1 if it was kept, 0 if a newer one was there
local status = RB .. ':status:' .. ARGV[1] .. ':' .. ARGV[2]
local was = redis.call('HGET', status, ARGV[3])
if was then
  local seq, at = string.match(was, '^(%d+) (%d+) ')
  seq, at = tonumber(seq), tonumber(at)
  if seq > tonumber(ARGV[4]) or (seq == tonumber(ARGV[4]) and at > tonumber(ARGV[5])) then return 0 end
end
redis.call('HSET', status, ARGV[3], ARGV[4] .. ' ' .. ARGV[5] .. ' ' .. ARGV[6])
redis.call('PEXPIRE', status, ARGV[7])
return 1
