-- Takes the heads of a repository as known, but for those that an event has
-- told; once.
-- KEYS  1 {rb}
-- ARGV  1 repository key  2 1 with the last heads, else 0  3… ref, commit
-- Returns 1, or 0 when it was seeded before and nothing was written
if redis.call('SISMEMBER', RB .. ':seeded', ARGV[1]) == 1 then return 0 end
for i = 3, #ARGV, 2 do redis.call('HSETNX', RB .. ':accepted:' .. ARGV[1], ARGV[i], ARGV[i + 1]) end
if ARGV[2] == '1' then redis.call('SADD', RB .. ':seeded', ARGV[1]) end
return 1
