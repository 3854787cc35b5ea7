-- Take orphans out of the set and claim them for the caller; first, claims that another reaper left behind.
-- KEYS: marks, tokens, starts, claims, meta.
-- ARGV: orphan after, start grace, claim for, limit, share of a mass, members of a mass, force (1 or 0),
--       the caller's other clock (Unix seconds).
-- Returns: verdict, members, orphans, wait in ms, the time, then member, token and last beat of each claim.
local marks, tokens, starts, claims, meta = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local orphan_after, start_grace = tonumber(ARGV[1]), tonumber(ARGV[2])
local claim_for, limit = tonumber(ARGV[3]), tonumber(ARGV[4])
local mass_share, mass_of, force = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7] == '1'
local time = redis.call('TIME')
local now = tonumber(time[1]) + tonumber(time[2]) / 1000000
local function text(number) return string.format('%.6f', number) end

local members = redis.call('ZCARD', marks)
local boot = tonumber(redis.call('HGET', meta, 'boot') or nil)
if not boot then return {'lost', members, 0, 0, text(now)} end

-- A server that was started again, or has taken over from another, may know less than it did.
local server = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or ''
local known = redis.call('HGET', meta, 'server')
redis.call('HSET', meta, 'server', server)
if known and known ~= server then
    redis.call('HSET', meta, 'boot', text(now))
    boot = now
end
-- The other clock tells whether this one was set since the last look.
local offset = now - tonumber(ARGV[8])
local before = tonumber(redis.call('HGET', meta, 'offset') or nil)
redis.call('HSET', meta, 'offset', text(offset))
local was_set = before and math.abs(offset - before) > orphan_after / 3
if was_set or boot > now then
    redis.call('HSET', meta, 'boot', text(now))
    boot = now
end
-- Beats of before the clock was set back would count as alive until it comes there again.
local ahead = redis.call('ZRANGEBYSCORE', marks, '(' .. text(now + 1), '+inf', 'LIMIT', 0, 1000)
for _, member in ipairs(ahead) do redis.call('ZADD', marks, text(now), member) end
-- And claims as their reapers' for as long.
ahead = redis.call('ZRANGEBYSCORE', claims, '(' .. text(now + claim_for + 1), '+inf', 'LIMIT', 0, 1000)
for _, claim in ipairs(ahead) do redis.call('ZADD', claims, text(now + claim_for), claim) end

local latest = text(now - orphan_after)
local orphans = redis.call('ZCOUNT', marks, '-inf', latest)
local wait = boot + orphan_after - now
if was_set then return {'clock', members, orphans, math.ceil(wait * 1000), text(now)} end
if wait > 0 then return {'grace', members, orphans, math.ceil(wait * 1000), text(now)} end

local answer = {'acted', members, orphans, 0, text(now)}
local until_ = text(now + claim_for)
local left = redis.call('ZRANGEBYSCORE', claims, '-inf', text(now), 'LIMIT', 0, limit)
for _, claim in ipairs(left) do
    redis.call('ZADD', claims, until_, claim)
    local bar = string.find(claim, '|', 1, true)
    answer[#answer + 1] = string.sub(claim, bar + 1)
    answer[#answer + 1] = string.sub(claim, 1, bar - 1)
    answer[#answer + 1] = ''
end
if not force and members >= mass_of and orphans > mass_share * members then
    answer[1] = 'mass'
    return answer
end

local room, skipped = limit - #left, 0
while room > 0 do
    local found = redis.call('ZRANGEBYSCORE', marks, '-inf', latest, 'WITHSCORES', 'LIMIT', skipped, room)
    if #found == 0 then break end
    for index = 1, #found, 2 do
        local member = found[index]
        local start = tonumber(redis.call('HGET', starts, member) or nil)
        -- One ahead of the clock is one of before it was set back.
        if start and start <= now and now - start < start_grace then
            skipped = skipped + 1
        else
            local token = redis.call('HGET', tokens, member) or ''
            redis.call('ZREM', marks, member)
            redis.call('HDEL', tokens, member)
            redis.call('HDEL', starts, member)
            redis.call('ZADD', claims, until_, token .. '|' .. member)
            answer[#answer + 1] = member
            answer[#answer + 1] = token
            answer[#answer + 1] = found[index + 1]
            room = room - 1
        end
    end
end
return answer
