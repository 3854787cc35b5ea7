-- Put a claimed member back, unless somebody registered it meanwhile.
-- KEYS: marks, tokens, claims. ARGV: member, token, last beat (empty: now).
local claim = ARGV[2] .. '|' .. ARGV[1]
if redis.call('ZREM', KEYS[3], claim) == 0 then return 0 end
if redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2]) == 0 then return 0 end
local beat_at = ARGV[3]
if beat_at == '' then
    local time = redis.call('TIME')
    beat_at = time[1] .. '.' .. string.format('%06d', time[2])
end
redis.call('ZADD', KEYS[1], beat_at, ARGV[1])
return 1
