"""The shared queue's side on the server: one script, which does all that a host asks in one step. No logic in Python.

All keys begin with the run's own (KEYS[1], a hash) and expire by themselves. Below it, for each `epoch` of the queue:

    passes     hash    pass -> units that are not done yet; a pass that is complete or was given up is not in it
    todo:PASS  list    what is to be handed out, the next first
    done:PASS  bitmap  the units that have a verdict
    claims:M   set     what member M holds: PASS/UNIT
    leases     hash    member -> until when it may be silent, in milliseconds on the server's clock
    replies    hash    member -> the latest answer
    over       list    the passes that are complete
    opener     string  the member that is to propose the next pass, for a short while

The server's own clock decides on leases, so hosts' clocks do not matter. The queue is as old as the server's process:
one that was restarted may have lost the latest writes, whatever it kept, and what it has forgotten would be counted
twice. So the queue is made anew then (a new epoch), with passes that no host has seen.
"""

from __future__ import annotations

#: So long the member that was asked to may take to propose a pass, before another one is asked.
OPENER_MS = 2000

SCRIPT = """
local meta = KEYS[1]
local ask = cjson.decode(ARGV[1])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''

local found = redis.call('HMGET', meta, 'epoch', 'server', 'digest', 'newest', 'ready')
local epoch, digest, newest, ready = found[1], found[3], tonumber(found[4]), tonumber(found[5])
if not epoch or found[2] ~= server then
    epoch, digest, newest, ready = ask.anew, ask.digest, 0, now
    if not ask.fresh then ready = now + ask.lease_ms end
    redis.call('DEL', meta)
    redis.call('HSET', meta, 'epoch', epoch, 'server', server, 'digest', digest, 'newest', 0, 'ready', ready)
end
if digest ~= ask.digest then
    return cjson.encode({problem = "its units are not those of this host: were the hosts synced at different times?"})
end

local function key(...) return table.concat({meta, epoch, ...}, ':') end
local passes, leases, replies, over = key('passes'), key('leases'), key('replies'), key('over')
local opener, mine = key('opener'), key('claims', ask.member)

local before = redis.call('HGET', replies, ask.member)
if before and cjson.decode(before).number == ask.number then return before end

local function is_open(pass) return redis.call('HEXISTS', passes, pass) == 1 end

local function open_passes()
    local numbers = {}
    for _, pass in ipairs(redis.call('HKEYS', passes)) do numbers[#numbers + 1] = tonumber(pass) end
    table.sort(numbers)
    return numbers
end

local function close(pass)
    redis.call('HDEL', passes, pass)
    redis.call('DEL', key('todo', pass), key('done', pass))
end

local function give_back(how, pass, unit)
    if is_open(pass) and redis.call('GETBIT', key('done', pass), unit) == 0 then
        redis.call(how, key('todo', pass), unit)
        redis.call('EXPIRE', key('todo', pass), ask.keep_s)
    end
end

local function take_back(member)
    local held = {}
    for _, place in ipairs(redis.call('SMEMBERS', key('claims', member))) do
        local pass, unit = string.match(place, '(%d+)/(%d+)')
        held[#held + 1] = {tonumber(pass), tonumber(unit)}
    end
    table.sort(held, function(a, b) return a[1] < b[1] or a[1] == b[1] and a[2] > b[2] end)
    for _, place in ipairs(held) do give_back('LPUSH', place[1], place[2]) end
    redis.call('DEL', key('claims', member))
    redis.call('HDEL', leases, member)
end

-- The lease; and what the host knows of a queue that there was before this one.
local joins = ask.epoch ~= epoch
local lost = not joins and redis.call('HEXISTS', leases, ask.member) == 0
redis.call('HSET', leases, ask.member, now + ask.lease_ms)
if joins and ask.newest > newest then
    for _, pass in ipairs(open_passes()) do close(pass) end
    newest = ask.newest
end

-- Verdicts: the first one counts.
local counted = {}
for at, place in ipairs(ask.settle) do
    local pass, unit = place[1], place[2]
    redis.call('SREM', mine, pass .. '/' .. unit)
    counted[at] = 0
    if is_open(pass) and redis.call('SETBIT', key('done', pass), unit, 1) == 0 then
        counted[at] = 1
        if redis.call('HINCRBY', passes, pass, -1) == 0 then
            close(pass)
            if redis.call('HEXISTS', meta, 'part:' .. pass) == 0 then redis.call('RPUSH', over, pass) end
        end
    end
end

-- What goes back: from this host, and from those that have been silent for too long.
for _, place in ipairs(ask.back) do
    if redis.call('SREM', mine, place[1] .. '/' .. place[2]) == 1 then give_back('RPUSH', place[1], place[2]) end
end
if ask.bye then take_back(ask.member) end
local others = redis.call('HGETALL', leases)
local silent = {}
for at = 1, #others, 2 do
    if tonumber(others[at + 1]) < now then silent[#silent + 1] = others[at] end
end
table.sort(silent)
for _, member in ipairs(silent) do take_back(member) end

-- The next pass.
local gathering = now < ready
local new = ask.opens
if new and new.number == newest + 1 and not gathering then
    newest = new.number
    local size = 0
    for at = 1, #new.entries, 1000 do
        redis.call('RPUSH', key('todo', newest), unpack(new.entries, at, math.min(at + 999, #new.entries)))
    end
    for _, entry in ipairs(new.entries) do
        if entry >= 0 then size = size + 1 end
    end
    redis.call('EXPIRE', key('todo', newest), ask.keep_s)
    redis.call('SETBIT', key('done', newest), 0, 0)
    redis.call('EXPIRE', key('done', newest), ask.keep_s)
    redis.call('HSET', passes, newest, size)
    redis.call('HSET', meta, 'length', #new.entries)
    if not new.whole then redis.call('HSET', meta, 'part:' .. newest, 1) end
    if redis.call('HSETNX', meta, 'first', newest) == 1 then redis.call('HSET', meta, 'first_size', size) end
    redis.call('DEL', opener)
end
redis.call('HSET', meta, 'newest', newest)

-- Claims, the oldest pass first.
local claims, left = {}, 0
local open = open_passes()
for _, pass in ipairs(open) do
    while #claims < ask.want and not gathering and not ask.bye do
        local entry = tonumber(redis.call('LPOP', key('todo', pass)))
        if not entry then break end
        if entry < 0 then
            claims[#claims + 1] = {pass, entry}
        elseif redis.call('GETBIT', key('done', pass), entry) == 0 then
            redis.call('SADD', mine, pass .. '/' .. entry)
            claims[#claims + 1] = {pass, entry}
        end
    end
    left = left + redis.call('LLEN', key('todo', pass))
end

-- Whether another pass is wanted: soon nothing is left, and the newest has been begun.
local begun = newest == 0 or not is_open(newest)
    or redis.call('LLEN', key('todo', newest)) < tonumber(redis.call('HGET', meta, 'length'))
local opens = false
if not gathering and not ask.bye and left < ask.low and begun and (ask.limit == 0 or newest < ask.limit) then
    redis.call('SET', opener, ask.member, 'NX', 'PX', OPENER_MS)
    opens = redis.call('GET', opener) == ask.member
end

local done = {}
if ask.tell then
    for at, pass in ipairs(open) do
        local bits = redis.call('GET', key('done', pass)) or ''
        done[at] = {pass, (string.gsub(bits, '.', function(one) return string.format('%02x', string.byte(one)) end))}
    end
end
local first = redis.call('HMGET', meta, 'first', 'first_size')
local covered = 0
if first[1] then covered = tonumber(first[2]) - tonumber(redis.call('HGET', passes, first[1]) or 0) end
local answer = cjson.encode({
    number = ask.number, epoch = epoch, gathering = gathering, lost = lost, counted = counted, claims = claims,
    newest = newest, oldest = open[1] or newest + 1, covered = covered, opens = opens, left = left, done = done,
    over = redis.call('LRANGE', over, joins and 0 or ask.seen, -1),
})
redis.call('HSET', replies, ask.member, answer)
for _, one in ipairs({meta, passes, leases, replies, over, mine}) do redis.call('EXPIRE', one, ask.keep_s) end
return answer
""".replace("OPENER_MS", str(OPENER_MS))
