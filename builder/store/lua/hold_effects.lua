-- Renews the leases of effects.
-- KEYS  1 {rb}
-- ARGV  1 lease in ms  2… member, token
-- Returns {indexes, from 1, of those whose lease is somebody else's}
local lost = {}
for i = 2, #ARGV, 2 do
  if redis.call('HGET', RB .. ':effect:' .. ARGV[i], 'token') == ARGV[i + 1] then
    redis.call('ZADD', (due(ARGV[i])), 'XX', now() + ARGV[1], ARGV[i])
  else
    lost[#lost + 1] = i / 2
  end
end
return {lost}
