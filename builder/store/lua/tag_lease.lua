-- The lease of an image repository's tags.
-- KEYS  1 {rb}
-- ARGV  1 image repository  2 "lock", "extend", "unlock" or "set"
--       lock: 3 owner  4 ms    extend: 3 token  4 ms    unlock: 3 token
--       set: 3 token  4 image repository as pushes are known by  5… tag,
--            position (JSON, "" forgets it), digest ("" forgets it)
-- Returns lock: {1, token} or {0, ms until the holder's time is over};
--         the others {1}, or {0} when the token is not the holder's
local lease, tags = RB .. ':tag-lease:' .. ARGV[1], RB .. ':tags:' .. ARGV[1]
local holder = redis.call('GET', lease)
if ARGV[2] == 'lock' then
  if holder then return {0, redis.call('PTTL', lease)} end
  local token = ARGV[3] .. '#' .. turn()
  redis.call('SET', lease, token, 'PX', ARGV[4])
  return {1, token}
end
if holder ~= ARGV[3] then return {0} end
if ARGV[2] == 'extend' then
  redis.call('PEXPIRE', lease, ARGV[4])
elseif ARGV[2] == 'unlock' then
  redis.call('DEL', lease)
  wake('tags:' .. ARGV[1])
else
  local pushed = RB .. ':pushed:' .. ARGV[4]
  local function put(key, tag, value)
    if value == '' then redis.call('HDEL', key, tag) else redis.call('HSET', key, tag, value) end
  end
  for i = 5, #ARGV, 3 do
    put(tags, ARGV[i], ARGV[i + 1])
    put(pushed, ARGV[i], ARGV[i + 2])
  end
end
return {1}
