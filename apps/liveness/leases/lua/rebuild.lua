-- Give members that have none a mark as of now, and a token.
-- KEYS: marks, tokens. ARGV: member, token, and again for each further member.
local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])
for index = 1, #ARGV, 2 do
    redis.call('HSETNX', KEYS[2], ARGV[index], ARGV[index + 1])
    redis.call('ZADD', KEYS[1], 'NX', now, ARGV[index])
end
return #ARGV / 2
