-- Gives a repository its home: the name that it has when it is first seen, or
-- where a repository of another forge has that one, the same below the forge.
-- KEYS  1 {rb}
-- ARGV  1 repository key  2 its name now  3 the same below its forge
-- Returns {home or "", key of another repository that holds the name or ""}
local homes, of = RB .. ':homes', RB .. ':home-of'
local own = redis.call('HGET', of, ARGV[1])
local holder = redis.call('HGET', homes, ARGV[2])
local function claim(name)
  redis.call('HSET', homes, name, ARGV[1])
  redis.call('HSET', of, ARGV[1], name)
  own = name
end
if not own then
  if not holder then
    claim(ARGV[2])
  elseif string.match(holder, '^[^:]*') ~= string.match(ARGV[1], '^[^:]*')
    and redis.call('HEXISTS', homes, ARGV[3]) == 0 then
    claim(ARGV[3])
  end
end
if holder == ARGV[1] then holder = false end
return {own or '', holder or ''}
