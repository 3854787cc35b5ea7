-- Put a claimed member back that turned out to be alive, unless somebody registered it meanwhile.
-- KEYS: marks, tokens, claims. ARGV: member, token.
local claim = ARGV[2] .. '|' .. ARGV[1]
if redis.call('ZREM', KEYS[3], claim) == 0 then return 0 end
if redis.call('HSETNX', KEYS[2], ARGV[1], ARGV[2]) == 0 then return 0 end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] .. '.' .. string.format('%06d', time[2]), ARGV[1])
return 1
