#!lua
-- Keeps the record of one trigger of a build, unless a later lease of it wrote
-- before.
-- KEYS  1 {b:ID}:triggers
-- ARGV  1 trigger  2 turn of the lease  3 run (JSON)  4 ms that runs stay
-- Returns 1 if it was written, 0 if a later lease was there
local was = redis.call('HGET', KEYS[1], ARGV[1])
local turn = was and string.match(was, '^(%d+) ') -- none of older versions
if turn and tonumber(turn) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
