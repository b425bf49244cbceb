-- Gives a repository its home: the name that it has when it is first seen, or
-- where a repository of another forge has that one, the same below the forge.
-- The names that it takes later are its own, too, if nobody had them before:
-- what a policy says of one must not go to who comes after it. They are counted,
-- so that nobody takes names away by renaming all day.
-- KEYS  1 {rb}
-- ARGV  1 repository key  2 its name now  3 the same below its forge  4 most other names
-- Returns {home or "", key of another repository that holds the name or "",
--          its other names, a space between them}
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
local others = redis.call('HGET', RB .. ':home-others', ARGV[1]) or ''
if own and not holder and own ~= ARGV[2] then
  local _, count = string.gsub(others, '%S+', '')
  if count < tonumber(ARGV[4]) then
    redis.call('HSET', homes, ARGV[2], ARGV[1])
    others = others == '' and ARGV[2] or others .. ' ' .. ARGV[2]
    redis.call('HSET', RB .. ':home-others', ARGV[1], others)
  end
end
if holder == ARGV[1] then holder = false end
return {own or '', holder or '', others}
