-- Give members a mark under a token, unless a later one is registered or a reaper has just taken this one.
-- KEYS: marks, tokens, starts, claims. ARGV: member, token, and again for each further member.
-- For each: 1 beating, -1 fenced.
local time = redis.call('TIME')
local now = time[1] .. '.' .. string.format('%06d', time[2])
local answers = {}
for index = 1, #ARGV, 2 do
    local member, token = ARGV[index], ARGV[index + 1]
    local registered = redis.call('HGET', KEYS[2], member)
    if registered and tonumber(registered) > tonumber(token)
        or redis.call('ZSCORE', KEYS[4], token .. '|' .. member) then
        answers[#answers + 1] = -1
    else
        if registered ~= token then
            redis.call('HSET', KEYS[2], member, token)
            redis.call('HSET', KEYS[3], member, now)
        end
        redis.call('ZADD', KEYS[1], now, member)
        answers[#answers + 1] = 1
    end
end
return answers
