-- Makes a trigger of a build due once more, because a person asked for it.
-- KEYS  1 {rb}
-- ARGV  1 build id  2 trigger  3 who asks  4 its state where only its record
--       knows, "" if that does not either  5 repository key  6 ms that runs stay
-- Returns {1, "waiting"}, {0} when it never ran, {-1, state} while it is not over
local member = 'trigger:' .. ARGV[1] .. ':' .. ARGV[2]
local state = redis.call('HGET', RB .. ':run:' .. ARGV[1], ARGV[2]) or ARGV[4]
if redis.call('EXISTS', RB .. ':effect:' .. member) == 1 then
  return {-1, state == 'running' and state or 'waiting'}
end
if state == '' then return {0} end
if state == 'waiting' or state == 'running' then return {-1, state} end
redis.call('HSET', RB .. ':effect:' .. member, 'asked', turn(), 'by', ARGV[3])
list_run(ARGV[1], ARGV[2], 'waiting', ARGV[5], ARGV[6])
add_effect(member, now(), true)
return {1, 'waiting'}
