-- Reads an index of builds backwards, newest first, and keeps what fits. Ids
-- begin with the time of acceptance, so they sort by it.
-- KEYS  1 {rb}
-- ARGV  1 repository key, "" for all  2 start before this id, "" at the newest
--       3 how many to return  4 image  5 ref  6 commit, built or shown on
--       7 state, "" for any
-- Returns {id to go on before, "" at the end, {ids}}
local SCAN = 2000 -- of the index in one call: other scripts wait meanwhile
local index = RB .. ':builds'
if ARGV[1] ~= '' then index = index .. ':' .. ARGV[1] end
local from = ARGV[2] == '' and '+' or '(' .. ARGV[2]
local ids = redis.call('ZRANGE', index, from, '-', 'BYLEX', 'REV', 'LIMIT', 0, SCAN)
local found, limit = {}, tonumber(ARGV[3])
local want = {ARGV[4], ARGV[5], ARGV[6], ARGV[7]}
for _, id in ipairs(ids) do
  local b = redis.call('HMGET', build(id), 'image', 'ref', 'commit', 'state', 'shown')
  local fits = b[4]
  if b[5] == want[3] then b[3] = b[5] end
  for j = 1, 4 do fits = fits and (want[j] == '' or want[j] == b[j]) end
  if fits then found[#found + 1] = id end
  if #found == limit then return {id, found} end
end
return {#ids == SCAN and ids[SCAN] or '', found}
