#!lua
-- What the scripts on {rb} share; Go puts it in front of each of them.
--
-- KEYS[1] is "{rb}" for every script: it names the slot, and all other keys
-- are derived from it here, so they are in the same slot of a cluster. What
-- is after the tag comes from ARGV or from what these keys hold. keys.go has
-- the grammar. Times are milliseconds of the server's clock.
local RB = KEYS[1]
local LEVELS = 5    -- builder.Priority has so many values
local ended = {}    -- builds that this script brought to a terminal state

local function now()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

local function wake(topic) redis.call('PUBLISH', RB .. ':wake', topic) end
local function turn() return redis.call('INCR', RB .. ':turn') end
local function build(id) return RB .. ':build:' .. id end
local function queue(level, repo) return RB .. ':queue:' .. level .. ':' .. repo end
local function ring(level) return RB .. ':ring:' .. level end
local function name(ref)
  ref = string.gsub(ref, '^refs/pull/(%d+)/head$', 'pull request %1')
  return (string.gsub(string.gsub(ref, '^refs/heads/', ''), '^refs/tags/', ''))
end
local function by(commit, ref) return 'by ' .. string.sub(commit, 1, 6) .. ' on ' .. name(ref) end

-- due returns the set in which an effect waits, and its topic: what is fired
-- does not hold up what is told.
local function due(member)
  if string.sub(member, 1, 8) == 'trigger:' then return RB .. ':firing', 'firing' end
  return RB .. ':outbox', 'outbox'
end

-- add_effect makes the effect due, or newer where it waits already. One that
-- is leased or backs off keeps its time: its holder or its wait goes first.
-- An urgent one ends the wait; while it is leased, its holder's next wait.
local function add_effect(member, at, urgent)
  local effect, version = RB .. ':effect:' .. member, turn()
  local set, topic = due(member)
  redis.call('HSET', effect, 'version', version)
  if not urgent then
    if redis.call('ZADD', set, 'NX', at, member) == 0 then return end
  elseif redis.call('HEXISTS', effect, 'token') == 1 then
    redis.call('HSET', effect, 'urgent', version)
    return
  else
    redis.call('HDEL', effect, 'attempt')
    redis.call('ZADD', set, at, member)
  end
  wake(topic)
end

-- end_effect drops an effect ('done'), unless it was added again meanwhile, or
-- makes it due after a wait in ms ('retry'): at once where it became urgent
-- meanwhile. false: the lease is somebody else's.
local function end_effect(member, token, how, wait)
  local effect, set, topic = RB .. ':effect:' .. member, due(member)
  local e = redis.call('HMGET', effect, 'token', 'version', 'urgent')
  if e[1] ~= token then return false end
  if e[3] then
    redis.call('HDEL', effect, 'token', 'attempt', 'urgent')
    redis.call('ZADD', set, now(), member)
  elseif how == 'retry' then
    redis.call('HDEL', effect, 'token')
    redis.call('ZADD', set, now() + wait, member)
  elseif e[2] == string.match(e[1], '^%d+') then
    redis.call('DEL', effect)
    redis.call('ZREM', set, member)
    return true
  else
    redis.call('HDEL', effect, 'token', 'attempt')
    redis.call('ZADD', set, now(), member)
  end
  wake(topic)
  return true
end

-- list_run keeps the state of a trigger of a build, and lists it: once, with
-- some of what has expired forgotten.
local function list_run(id, trigger, state, repo, keep)
  local run, member = RB .. ':run:' .. id, id .. ':' .. trigger
  local new = redis.call('HSET', run, trigger, state) == 1
  redis.call('PEXPIRE', run, keep)
  if not new then return end
  for _, index in ipairs({RB .. ':runs', RB .. ':runs:' .. repo}) do
    redis.call('ZADD', index, 0, member)
    for _, old in ipairs(redis.call('ZRANGE', index, 0, 4)) do
      if redis.call('EXISTS', RB .. ':run:' .. string.match(old, '^[^:]*')) == 0 then redis.call('ZREM', index, old) end
    end
  end
end

-- join puts the repository at the end of the rings of those levels where it
-- has builds and is not in the ring yet.
local function join(repo)
  for level = 0, LEVELS - 1 do
    if redis.call('EXISTS', queue(level, repo)) == 1 then
      redis.call('ZADD', ring(level), 'NX', turn(), repo)
    end
  end
end

local function drop_input(id)
  local key = redis.call('HGET', build(id), 'input')
  if not key then return end
  redis.call('HDEL', build(id), 'input')
  local input = RB .. ':input:' .. key
  if redis.call('HGET', input, 'building') == id then
    redis.call('HDEL', input, 'building')
  end
end

-- leave ends what a running build holds: lease, place among the repository's
-- running ones, input claim.
local function leave(id, repo)
  redis.call('ZREM', RB .. ':leases', id)
  redis.call('SREM', RB .. ':running:' .. repo, id)
  drop_input(id)
  join(repo)
end

-- end_build brings a build to a terminal state, from wherever it stands. The
-- caller has checked that it is not terminal yet. keep: how long its record
-- stays.
local function end_build(id, state, reason, at, keep)
  local b = redis.call('HMGET', build(id), 'repo', 'level', 'lineage', 'image', 'ref', 'seq')
  local repo = b[1]
  redis.call('ZREM', queue(b[2], repo), id)
  if b[3] ~= '' then redis.call('ZREM', RB .. ':lineage:' .. b[3], id) end
  leave(id, repo)
  redis.call('HSET', build(id), 'state', state, 'finished', at, 'reason', reason)
  redis.call('PEXPIRE', build(id), keep)
  if state ~= 'cancelled' and state ~= 'superseded' then
    local last = RB .. ':last:' .. repo .. ':' .. b[5]
    local was = redis.call('HGET', last, b[4])
    if not was or tonumber(string.match(was, '^%d+')) <= tonumber(b[6]) then
      redis.call('HSET', last, b[4], b[6] .. ' ' .. state)
      redis.call('PEXPIRE', last, keep)
    end
  end
  add_effect('build:' .. id, at, true)
  wake('build:' .. id)
  wake('queue')
  ended[#ended + 1] = id
end

-- outdated returns which newer build of the lineage, if any was ever queued,
-- supersedes one: the reason to give.
local function outdated(lineage, seq)
  if lineage == '' then return nil end
  local newest = redis.call('HMGET', RB .. ':newest:' .. lineage, 'seq', 'commit', 'ref')
  if newest[1] and tonumber(newest[1]) > tonumber(seq) then return by(newest[2], newest[3]) end
  return nil
end

-- enqueue puts a build that was just written, or comes back, into its
-- repository's queue; an outdated one ends instead.
local function enqueue(id, at, keep)
  local b = redis.call('HMGET', build(id), 'repo', 'level', 'lineage', 'seq')
  local newer = outdated(b[3], b[4])
  if newer then
    end_build(id, 'superseded', newer, at, keep)
    return
  end
  redis.call('HSET', build(id), 'state', 'queued')
  redis.call('ZADD', queue(b[2], b[1]), b[4], id)
  redis.call('ZADD', ring(b[2]), 'NX', turn(), b[1])
  add_effect('build:' .. id, at)
  wake('build:' .. id)
  wake('queue')
end

-- requeue takes a build from its worker: back into the queue, or to its end
-- when somebody asked it to stop.
local function requeue(id, at, keep)
  local b = redis.call('HMGET', build(id), 'repo', 'stop_state', 'stop_reason')
  if b[2] then
    end_build(id, b[2], b[3], at, keep)
    return
  end
  redis.call('HDEL', build(id), 'worker', 'started', 'result')
  leave(id, b[1])
  enqueue(id, at, keep)
end

-- ask requests that a running build stops; the first reason stays.
local function ask(id, state, reason, at)
  if redis.call('HEXISTS', build(id), 'stop_state') == 0 then
    redis.call('HSET', build(id), 'stop_state', state, 'stop_reason', reason)
    add_effect('build:' .. id, at)
    wake('stop:' .. id)
  end
end

-- stop_builds ends the repository's queued builds as cancelled and asks its
-- running ones to stop. ref: of this ref only, nil of all.
local function stop_builds(repo, ref, reason, at, keep)
  local function fits(id) return not ref or redis.call('HGET', build(id), 'ref') == ref end
  for level = 0, LEVELS - 1 do
    for _, id in ipairs(redis.call('ZRANGE', queue(level, repo), 0, -1)) do
      if fits(id) then end_build(id, 'cancelled', reason, at, keep) end
    end
  end
  for _, id in ipairs(redis.call('SMEMBERS', RB .. ':running:' .. repo)) do
    if fits(id) then ask(id, 'cancelled', reason, at) end
  end
end

-- register makes these, of image repositories, all of the repository's
-- registrations: a list of {images, text (JSON)}.
local function register(repo, list)
  local mine = RB .. ':registrations:' .. repo
  for _, images in ipairs(redis.call('SMEMBERS', mine)) do
    redis.call('HDEL', RB .. ':registered:' .. images, repo)
  end
  redis.call('DEL', mine)
  for _, r in ipairs(list) do
    redis.call('HSET', RB .. ':registered:' .. r.images, repo, r.text)
    redis.call('SADD', mine, r.images)
  end
end

-- withdraw ends everything of a repository that we were shut out of, so that
-- it starts afresh when it comes back. What was built stays on record.
local function withdraw(repo, reason, at, keep)
  stop_builds(repo, nil, reason, at, keep)
  redis.call('DEL', RB .. ':accepted:' .. repo, RB .. ':paused:' .. repo, RB .. ':approved:' .. repo)
  register(repo, {})
  redis.call('SREM', RB .. ':seeded', repo)
  redis.call('ZREM', RB .. ':active', repo)
  redis.call('HDEL', RB .. ':looks', repo)
end

-- held returns the state of the build if the worker's attempt holds it.
local function held(id, worker, attempt)
  local b = redis.call('HMGET', build(id), 'state', 'worker', 'attempt')
  if (b[1] == 'running' or b[1] == 'pushing') and b[2] == worker and b[3] == attempt then
    return b[1]
  end
  return nil
end
