-- Ends the builds of some repositories of an installation that was withdrawn,
-- and forgets what they start afresh with when they come back.
-- KEYS  1 {rb}
-- ARGV  1 key of the event's repository  2 token of the event's lease
--       3 forge instance  4 installation  5 why  6 ms that builds stay  7… repository keys
-- Returns {1, {ids of builds that it ended}}, or {0} when the lease is lost
if redis.call('HGET', RB .. ':inbox-leases', ARGV[1]) ~= ARGV[2] then return {0} end
local at = now()
for i = 7, #ARGV do
  -- It may have come back under another installation since the caller looked.
  local text = redis.call('HGET', RB .. ':repositories', ARGV[i])
  local r = text and cjson.decode(text) or {}
  if r.forge == ARGV[3] and r.installation == ARGV[4] then withdraw(ARGV[i], ARGV[5], at, ARGV[6]) end
end
return {1, ended}
