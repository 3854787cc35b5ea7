-- Renew one member's mark if the token is the registered one: what nearly all beats come to, at least cost.
-- KEYS: marks, tokens. ARGV: member, token. Returns 1 if done, else 0: the script for many tells why.
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return 0 end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] + time[2] / 1000000, ARGV[1])
return 1
