-- Gives a repository its home: the name that it has when it is first seen, or
-- where a repository of another forge has that one, the same below the forge.
-- The names that it takes later are its own, too, if nobody had them before:
-- what a policy says of one must not go to who comes after it. They are counted,
-- so that nobody takes names away by renaming all day.
-- What is below a home belongs to it, so a name is held by whoever has it, or
-- one above it, or one below it: groups are nested at one forge, and at
-- another the same name is a repository.
-- KEYS  1 {rb}
-- ARGV  1 repository key  2 its name now  3 the same below its forge  4 most other names
-- Returns {home or "", key of another repository that holds the name or "",
--          its other names, a space between them}
local repo, now = ARGV[1], ARGV[2]
local homes, of, below = RB .. ':homes', RB .. ':home-of', RB .. ':home-below'
local own = redis.call('HGET', of, repo)

-- above lists the names above one, from owner/name on.
local function above(name)
  local list, at, parts = {}, 0, 0
  while true do
    at = string.find(name, '/', at + 1, true)
    if not at then return list end
    parts = parts + 1
    if parts > 1 then list[#list + 1] = string.sub(name, 1, at - 1) end
  end
end

local function holder_of(name)
  local key = redis.call('HGET', homes, name)
  if key then return key end
  for _, higher in ipairs(above(name)) do
    key = redis.call('HGET', homes, higher)
    if key and key ~= repo then return key end
  end
  key = redis.call('HGET', below, name)
  if key and key ~= repo then return key end
  return false
end

local function take(name)
  redis.call('HSET', homes, name, repo)
  for _, higher in ipairs(above(name)) do redis.call('HSETNX', below, higher, repo) end
end

local holder = holder_of(now)
if not own then
  local free = not holder and now
  if not free and string.match(holder, '^[^:]*') ~= string.match(repo, '^[^:]*') and not holder_of(ARGV[3]) then
    free = ARGV[3]
  end
  if free then
    take(free)
    redis.call('HSET', of, repo, free)
    own = free
  end
end
local others = redis.call('HGET', RB .. ':home-others', repo) or ''
if own and not holder and own ~= now then
  local _, count = string.gsub(others, '%S+', '')
  if count < tonumber(ARGV[4]) then
    take(now)
    others = others == '' and now or others .. ' ' .. now
    redis.call('HSET', RB .. ':home-others', repo, others)
  end
end
if holder == repo then holder = false end
return {own or '', holder or '', others}
