#!lua
-- Closes a log, so that nothing is appended any more; then, called again with
-- the whole of it compressed, puts that in the stream's place.
-- KEYS  1 {b:ID}:log  2 {b:ID}:log:meta  3 {b:ID}:log:zst
-- ARGV  1 ms that logs stay  2 compressed log (second call)
-- Returns 1 if there is a stream to compress, else 0
if not ARGV[2] then
  redis.call('HSET', KEYS[2], 'closed', 1)
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
  return redis.call('EXISTS', KEYS[1])
end
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('SET', KEYS[3], ARGV[2], 'PX', ARGV[1])
redis.call('UNLINK', KEYS[1])
redis.call('HSET', KEYS[2], 'sealed', 1)
return 1
