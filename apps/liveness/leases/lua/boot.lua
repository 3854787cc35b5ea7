-- Say that the set is complete as of now. KEYS: meta.
local time = redis.call('TIME')
redis.call('HDEL', KEYS[1], 'offset')
return redis.call('HSET', KEYS[1], 'boot', time[1] .. '.' .. string.format('%06d', time[2]))
