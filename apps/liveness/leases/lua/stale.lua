-- Members that have not beaten for so long, the latest last. KEYS: marks. ARGV: seconds, limit.
local time = redis.call('TIME')
local latest = string.format('%.6f', tonumber(time[1]) + tonumber(time[2]) / 1000000 - tonumber(ARGV[1]))
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', latest, 'LIMIT', 0, ARGV[2])
