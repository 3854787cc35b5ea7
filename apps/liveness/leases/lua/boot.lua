-- Say that the set is complete as of now. KEYS: meta.
local time = redis.call('TIME')
redis.call('HDEL', KEYS[1], 'offset')
-- Whether it was started again before anybody looked is told by this.
redis.call('HSET', KEYS[1], 'server', string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') or '')
return redis.call('HSET', KEYS[1], 'boot', time[1] .. '.' .. string.format('%06d', time[2]))
