-- Ends a queued build, asks a running one to stop.
-- KEYS  1 {rb}
-- ARGV  1 build id  2 reason  3 ms that builds stay
-- Returns {1, state that it is in now, {ids of builds that it ended}}, {0} when
--         there is no such build, {-1, state} when it is terminal
local id = ARGV[1]
local state = redis.call('HGET', build(id), 'state')
if not state then return {0} end
if state == 'queued' then
  end_build(id, 'cancelled', ARGV[2], now(), ARGV[3])
  return {1, 'cancelled', ended}
elseif state == 'running' or state == 'pushing' then
  ask(id, 'cancelled', ARGV[2], now())
  return {1, state}
end
return {-1, state}
