-- Reads an index of trigger runs backwards, those of the newest builds first.
-- KEYS  1 {rb}
-- ARGV  1 repository key, "" for all  2 start before this ID:NAME, "" at the newest
--       3 how many to return  4 trigger  5 state, "" for any
-- Returns {ID:NAME to go on before, "" at the end, {ID:NAME, state, …}}
local SCAN = 2000 -- of the index in one call: other scripts wait meanwhile
local index = RB .. ':runs'
if ARGV[1] ~= '' then index = index .. ':' .. ARGV[1] end
local from = ARGV[2] == '' and '+' or '(' .. ARGV[2]
local members = redis.call('ZRANGE', index, from, '-', 'BYLEX', 'REV', 'LIMIT', 0, SCAN)
local found, limit = {}, tonumber(ARGV[3])
for _, member in ipairs(members) do
  local id, name = string.match(member, '^([^:]*):(.*)$')
  if ARGV[4] == '' or ARGV[4] == name then
    local state = redis.call('HGET', RB .. ':run:' .. id, name)
    if state and (ARGV[5] == '' or ARGV[5] == state) then
      found[#found + 1] = member
      found[#found + 1] = state
    end
  end
  if #found == 2 * limit then return {member, found} end
end
return {#members == SCAN and members[SCAN] or '', found}
