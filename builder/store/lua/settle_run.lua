-- Keeps how far a trigger of a build is, lists it, and ends or puts off the
-- effect that fired it, in one step.
-- KEYS  1 {rb}
-- ARGV  1 build id  2 trigger  3 token  4 "done", "retry", or "hold": it is under way
--       5 ms to wait before a retry  6 state  7 repository key  8 ms that runs stay
--       9 "always" where the commit is told, "told" where it is if it was told
--         something of this trigger before, "" never  10 commit  11 status context
-- Returns 1, or 0 when the lease is somebody else's and nothing was written
local member = 'trigger:' .. ARGV[1] .. ':' .. ARGV[2]
if ARGV[4] == 'hold' then
  if redis.call('HGET', RB .. ':effect:' .. member, 'token') ~= ARGV[3] then return 0 end
elseif not end_effect(member, ARGV[3], ARGV[4], ARGV[5]) then
  return 0
end
list_run(ARGV[1], ARGV[2], ARGV[6], ARGV[7], ARGV[8])
if ARGV[9] == 'told' and redis.call('HEXISTS', RB .. ':status:' .. ARGV[7] .. ':' .. ARGV[10], ARGV[11]) == 0 then return 1 end
if ARGV[9] ~= '' then add_effect('run:' .. ARGV[1] .. ':' .. ARGV[2], now(), true) end
return 1
