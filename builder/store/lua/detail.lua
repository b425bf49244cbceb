#!lua
-- Writes one field of a build's details, unless a later attempt wrote before.
-- KEYS  1 {b:ID}
-- ARGV  1 name of the fence  2 attempt  3 field  4 value  5 ms that details stay
-- Returns 1 if it was written, 0 if a later attempt was there
local fence = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
if fence > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
