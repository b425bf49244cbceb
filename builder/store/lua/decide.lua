-- Makes a decision durable. Everything that it changes, it changes here.
-- KEYS  1 {rb}
-- ARGV  1 repository key  2 event id  3 token  4 decision (JSON)
--       5 changes (JSON): ref, head (JSON text), cancel_ref, stop_ref, stop_all (why),
--         latest, gone (refs), untag ("" or a word), approve {ref: commit, "" revokes},
--         pause {image: by, "" resumes}, owners {name: ref},
--         builds [{id, event, repo, image, ref, commit, shown, lineage, seq, level}], all strings,
--         pushes [the same with state, result (its name), fire [trigger]],
--         known {images, tag, digest, was}, or without images,
--         registers (boolean), registered [{images, text}]
--       6 ms that events stay  7 ms that builds stay, and what was the latest of its ref
-- Returns {1, {ids of builds that it ended}}, or {0} when the lease is lost, or
--         given up because a tag does not name any more what it named
local repo, event, token = ARGV[1], RB .. ':event:' .. ARGV[2], ARGV[3]
local done = redis.call('HMGET', event, 'decision', 'by')
if done[1] then return {done[2] == token and 1 or 0} end
if redis.call('HGET', RB .. ':inbox-leases', repo) ~= token then return {0} end

local at, keep, c = now(), ARGV[7], cjson.decode(ARGV[5])
local inbox = RB .. ':inbox:' .. repo
if redis.call('LINDEX', inbox, 0) ~= ARGV[2] then return {0} end

if c.known.images ~= '' then
  local pushed = RB .. ':pushed:' .. c.known.images
  if (redis.call('HGET', pushed, c.known.tag) or '') ~= c.known.was then
    redis.call('HDEL', RB .. ':inbox-leases', repo)
    redis.call('ZADD', RB .. ':inboxes', at, repo)
    wake('inbox')
    return {0}
  end
  redis.call('HSET', pushed, c.known.tag, c.known.digest)
end
if c.head ~= '' then redis.call('HSET', RB .. ':heads:' .. repo, c.ref, c.head) end
for name, ref in pairs(c.owners) do redis.call('HSETNX', RB .. ':owners:' .. repo, name, ref) end

if c.stop_all ~= '' then withdraw(repo, c.stop_all, at, keep) end
if c.stop_ref ~= '' then stop_builds(repo, c.stop_ref, 'by the closing of ' .. name(c.stop_ref), at, keep) end
for ref, commit in pairs(c.approve) do
  if commit == '' then
    redis.call('HDEL', RB .. ':approved:' .. repo, ref)
  else
    redis.call('HSET', RB .. ':approved:' .. repo, ref, commit)
  end
end
for image, by in pairs(c.pause) do
  if by == '' then
    redis.call('HDEL', RB .. ':paused:' .. repo, image)
  else
    redis.call('HSET', RB .. ':paused:' .. repo, image, by)
  end
end

if c.cancel_ref ~= '' then
  for level = 0, LEVELS - 1 do
    for _, id in ipairs(redis.call('ZRANGE', queue(level, repo), 0, -1)) do
      if redis.call('HGET', build(id), 'ref') == c.cancel_ref then
        end_build(id, 'cancelled', 'by the deletion of ' .. name(c.cancel_ref), at, keep)
      end
    end
  end
end

if c.registers then
  register(repo, c.registered)
  redis.call('SADD', RB .. ':registrations:' .. repo, '')
end

local function record(b)
  redis.call('HSET', build(b.id), 'event', b.event, 'repo', b.repo, 'image', b.image, 'ref', b.ref,
    'commit', b.commit, 'lineage', b.lineage, 'seq', b.seq, 'level', b.level,
    'attempt', 0, 'lost', 0, 'queued', at)
  if b.shown ~= '' then redis.call('HSET', build(b.id), 'shown', b.shown) end
  redis.call('ZADD', RB .. ':builds', 0, b.id)
  redis.call('ZADD', RB .. ':builds:' .. b.repo, 0, b.id)
end

for _, p in ipairs(c.pushes) do
  if redis.call('EXISTS', build(p.id)) == 0 then
    record(p)
    redis.call('HSET', build(p.id), 'state', p.state, 'result', p.result, 'finished', at)
    redis.call('PEXPIRE', build(p.id), keep)
    for _, trigger in ipairs(p.fire) do add_effect('trigger:' .. p.id .. ':' .. trigger, at) end
    wake('build:' .. p.id)
    ended[#ended + 1] = p.id
  end
end

for _, b in ipairs(c.builds) do
  if redis.call('EXISTS', build(b.id)) == 0 then
    record(b)
    if b.lineage ~= '' then
      local newest = RB .. ':newest:' .. b.lineage
      local was = redis.call('HGET', newest, 'seq')
      if not was or tonumber(was) < tonumber(b.seq) then
        redis.call('HSET', newest, 'seq', b.seq, 'commit', b.commit, 'ref', b.ref)
      end
      redis.call('PEXPIRE', newest, keep)
      redis.call('ZADD', RB .. ':lineage:' .. b.lineage, b.seq, b.id)
    end
    enqueue(b.id, at, keep)
  end
end
local added = #c.builds + #c.pushes
if added > 0 then -- forget what has expired, some of it each time
  for _, index in ipairs({RB .. ':builds', RB .. ':builds:' .. repo}) do
    for _, old in ipairs(redis.call('ZRANGE', index, 0, math.min(5 * added, 100) - 1)) do
      if redis.call('EXISTS', build(old)) == 0 then redis.call('ZREM', index, old) end
    end
  end
end
local seen = {}
for _, b in ipairs(c.builds) do
  if b.lineage ~= '' and not seen[b.lineage] then
    seen[b.lineage] = true
    for _, id in ipairs(redis.call('ZRANGE', RB .. ':lineage:' .. b.lineage, 0, -1)) do
      local o = redis.call('HMGET', build(id), 'state', 'seq')
      local newer = o[1] == 'queued' and outdated(b.lineage, o[2])
      if newer then end_build(id, 'superseded', newer, at, keep) end
    end
  end
end

-- What a ref came to last stays as long as builds, for commands.
local stay = tonumber(ARGV[6])
local function latest(ref) return RB .. ':latest:' .. repo .. ':' .. ref end
if c.gone ~= '' then
  local was = redis.call('GET', latest(c.gone))
  if was then redis.call('PEXPIRE', RB .. ':event:' .. was, stay, 'LT') end
  redis.call('DEL', latest(c.gone))
elseif c.latest ~= '' then
  local was = redis.call('GET', latest(c.latest))
  if was then redis.call('PEXPIRE', RB .. ':event:' .. was, stay, 'LT') end
  stay = math.max(stay, tonumber(keep))
  redis.call('SET', latest(c.latest), ARGV[2])
  redis.call('PEXPIRE', latest(c.latest), stay)
end
redis.call('HSET', event, 'decision', ARGV[4], 'by', token, 'decided', at)
redis.call('PEXPIRE', event, stay)
redis.call('LPOP', inbox)
redis.call('HDEL', RB .. ':inbox-leases', repo)
if redis.call('EXISTS', inbox) == 1 then
  redis.call('ZADD', RB .. ':inboxes', at, repo)
  wake('inbox')
else
  redis.call('ZREM', RB .. ':inboxes', repo)
end
add_effect('event:' .. ARGV[2], at)
if c.untag ~= '' then add_effect('untag:' .. ARGV[2], at) end
wake('event:' .. ARGV[2])
return {1, ended}
