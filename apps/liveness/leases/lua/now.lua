-- The server's time. KEYS: any of the set's, for that server of a cluster to be asked.
local time = redis.call('TIME')
return time[1] .. '.' .. string.format('%06d', time[2])
